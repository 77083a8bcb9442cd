"""The fast calls compute what the stock layers compute, and leave the other cases to them."""

import keras
import numpy as np
import pytest

from kerasnorm.speed import speed_up

from .helpers import cnn, images, residual, step, twins


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_float64_step_equals_stock_layers(norm: str) -> None:
    stock, fast = twins(residual(norm, "float64"))
    speed_up(fast)
    x, y = images((6, 10, 9, 3), 5)
    expected, got = step(stock, x, y), step(fast, x, y)
    for (name, value), ours in zip(expected.items(), got.values(), strict=True):
        np.testing.assert_allclose(ours, value, rtol=1e-9, atol=1e-10, err_msg=name)


def test_frozen_batch_normalization_keeps_its_statistics() -> None:
    stock, fast = twins(cnn("bn"))
    speed_up(fast, 2)
    x, y = images((8, 28, 28, 1))
    for model in (stock, fast):
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    expected, got = step(stock, x, y), step(fast, x, y)
    for (name, value), ours in zip(expected.items(), got.values(), strict=True):
        np.testing.assert_allclose(ours, value, rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(fast.get_layer("norm0").moving_mean, np.zeros(16))


def test_dropout_rate_scale_and_changing_masks() -> None:
    inputs = keras.Input((6, 6, 8))
    model = speed_up(keras.Model(inputs, keras.layers.Dropout(0.25, seed=3)(inputs)), 2)
    x: np.ndarray = np.ones((501, 6, 6, 8), "float32")
    first, second = (np.asarray(model(x, training=True)) for _ in range(2))
    for y in (first, second):
        assert abs((y == 0).mean() - 0.25) < 0.005
        assert abs(y.mean() - 1) < 0.01
    assert 0.3 < ((first == 0) != (second == 0)).mean() < 0.45  # independent masks: 2 * 0.25 * 0.75
    np.testing.assert_array_equal(model(x, training=False), x)


def test_dropout_with_noise_shape_or_small_rate_is_stock() -> None:
    x: np.ndarray = np.ones((64, 5, 40), "float32")
    shaped = keras.layers.Dropout(0.5, noise_shape=(None, 1, None))
    small = keras.layers.Dropout(0.001)
    inputs = keras.Input((5, 40))
    speed_up(keras.Model(inputs, [shaped(inputs), small(inputs)]))
    dropped = np.asarray(shaped(x, training=True)) == 0
    assert (dropped == dropped[:, :1]).all()
    assert 0.4 < dropped.mean() < 0.6
    y = np.asarray(small(x, training=True))
    np.testing.assert_allclose(y[y > 0], 1 / 0.999, rtol=1e-6, atol=0)
