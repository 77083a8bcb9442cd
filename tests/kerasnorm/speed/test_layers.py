"""The fast calls compute what the stock layers compute, and leave the other cases to them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnorm.speed import speed_up
from kerasnorm.speed.layers import stock_reason

from .helpers import cnn, images, residual, step, takes_rate_one, twins


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


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.998, *([1.0] if takes_rate_one() else [])])
def test_dropout_of_extreme_rate_is_stock(rate: float) -> None:
    """It draws the same mask from the same seed, and no value is infinite."""

    def build() -> keras.Model:
        inputs = keras.Input((50, 8))
        return keras.Model(inputs, keras.layers.Dropout(rate, seed=3)(inputs))

    stock, fast = build(), speed_up(build())
    x = np.random.default_rng(0).normal(size=(40, 50, 8)).astype("float32")
    np.testing.assert_array_equal(fast(x, training=True), stock(x, training=True))
    assert np.isfinite(fast(x, training=True)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint8", "float64"])
@pytest.mark.parametrize("kind", ["batch", "group", "dropout"])
def test_inputs_of_another_dtype_equal_stock(kind: str, dtype: str) -> None:
    """Keras casts floating-point inputs to the layer's dtype, and leaves integers to it."""

    def build() -> keras.layers.Layer:
        if kind == "group":
            return keras.layers.GroupNormalization(2)
        return keras.layers.BatchNormalization() if kind == "batch" else keras.layers.Dropout(0.0)

    x = tf.cast(np.random.default_rng(0).integers(0, 9, (4, 3, 3, 4)), dtype)
    if kind == "group" and dtype == "uint8":
        pytest.skip("Keras' own GroupNormalization does not take integers")
    results = []
    for make in (lambda model: model, speed_up):
        layer = build()
        model = keras.Sequential([layer])
        layer.build((None, 3, 3, 4))
        make(model)
        results.append(
            [layer(x, training=True) if kind != "group" else layer(x), *layer.non_trainable_variables]
        )
    for expected, ours in zip(*results, strict=True):
        assert ours.dtype == expected.dtype
        np.testing.assert_allclose(
            tf.cast(ours, "float64"), tf.cast(expected, "float64"), rtol=1e-4, atol=1e-5
        )


def test_masked_batch_normalization_is_stock() -> None:
    results = []
    x = np.random.default_rng(0).normal(size=(4, 6, 4)).astype("float32")
    mask = np.arange(6)[None] < np.array([[6], [3], [1], [4]])
    for make in (lambda model: model, speed_up):
        layer = keras.layers.BatchNormalization()
        layer.build((None, 6, 4))
        make(keras.Sequential([layer]))
        results.append([layer(x, training=True, mask=mask), layer.moving_mean, layer.moving_variance])
    for expected, ours in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (keras.layers.BatchNormalization(), None),
        (keras.layers.BatchNormalization(axis=1), "axis 1 is not the last"),
        (keras.layers.BatchNormalization(synchronized=True), "synchronized"),
        (
            keras.layers.BatchNormalization(dtype="mixed_float16"),
            "computes in float16 with weights in float32",
        ),
        (keras.layers.GroupNormalization(2), None),
        (keras.layers.GroupNormalization(2, axis=1), "axis 1 is not the last"),
        (keras.layers.GroupNormalization(2, dtype="bfloat16"), "computes in bfloat16"),
        (keras.layers.Dropout(0.5), None),
        (keras.layers.Dropout(0.01), "rate 0.01 is not between 1/32 and 31/32"),
        (keras.layers.Dropout(1.0), "rate 1 is not between 1/32 and 31/32"),
        (keras.layers.Dropout(0.5, noise_shape=(None, 1)), "has a noise_shape"),
        (keras.layers.LayerNormalization(), "no faster code for this class"),
    ],
    ids=str,
)
def test_stock_reason(layer: keras.layers.Layer, reason: str | None) -> None:
    layer.build((None, 4, 6, 4))
    found = stock_reason(layer)
    assert found is None if reason is None else str(found).startswith(reason)


def test_last_axis_counted_from_the_front_is_fast() -> None:
    layer = keras.layers.BatchNormalization(axis=3)
    layer.build((None, 4, 6, 4))
    assert stock_reason(layer) is None
