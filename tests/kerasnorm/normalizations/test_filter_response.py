"""ThresholdedFilterResponseNormalization: the paper's formula in NumPy, its invariance, files and other precisions."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kerasnorm.normalizations import ThresholdedFilterResponseNormalization
from tests.kerasnorm.normalizations.layers import images, randomized, saved_and_loaded


def formula(x: np.ndarray, layer: Any, epsilon: float = 1e-6) -> np.ndarray:
    gamma, beta, tau = (np.asarray(weight, np.float64) for weight in (layer.gamma, layer.beta, layer.tau))
    y = np.empty_like(x)
    for image, channel in np.ndindex(x.shape[0], x.shape[-1]):
        values = x[image, ..., channel]
        nu2 = (values**2).mean()
        normalized = values / np.sqrt(nu2 + epsilon)
        y[image, ..., channel] = np.maximum(gamma[channel] * normalized + beta[channel], tau[channel])
    return y


@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (4, 2, 2, 6), (3, 7, 2), (2, 3, 2, 2, 2)])
def test_formula(shape: tuple[int, ...]) -> None:
    layer = randomized(ThresholdedFilterResponseNormalization(dtype="float64"), shape[-1], len(shape))
    x = images(*shape)
    np.testing.assert_allclose(layer(x), formula(x, layer), rtol=1e-12, atol=1e-12)
    assert (np.asarray(layer(x)) == np.asarray(layer.tau)).any()


def test_trained_epsilon() -> None:
    layer = ThresholdedFilterResponseNormalization(epsilon=-1e-3, train_epsilon=True, dtype="float64")
    x = images(3, 1, 1, 2)
    layer(x)
    assert layer.trained_epsilon is not None
    np.testing.assert_allclose(layer.trained_epsilon, 1e-4, rtol=1e-6, atol=0)
    layer.trained_epsilon.assign(-0.5)
    np.testing.assert_allclose(layer(x), formula(x, layer, 0.501), rtol=1e-12, atol=1e-12)


def test_a_new_layer_is_a_relu_of_normalized_values_and_ignores_the_scale_of_each_channel() -> None:
    layer = ThresholdedFilterResponseNormalization(epsilon=0.0, dtype="float64")
    x = images(4, 5, 5, 3, mean=0.0)
    y = np.asarray(layer(x))
    np.testing.assert_allclose(y > 0, x > 0)
    assert y.min() == 0
    scaled = x * np.random.default_rng(2).uniform(0.01, 100, (4, 1, 1, 3))
    np.testing.assert_allclose(layer(scaled), y, rtol=1e-12, atol=1e-12)


def test_every_weight_is_trained() -> None:
    layer = ThresholdedFilterResponseNormalization(train_epsilon=True)
    model = keras.Sequential([keras.Input((5, 5, 3)), layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = [np.asarray(weight) for weight in layer.trainable_weights]
    assert len(before) == 4
    model.train_on_batch(images(6, 5, 5, 3, mean=0.0), np.ones((6, 1)))
    for old, new in zip(before, layer.trainable_weights, strict=True):
        assert np.all(old != np.asarray(new))


def test_file_and_float16(tmp_path: Path) -> None:
    layer = ThresholdedFilterResponseNormalization(1e-5, train_epsilon=True, beta_regularizer="l1")
    saved_and_loaded(randomized(layer, 3), (5, 5, 3), tmp_path)
    half = randomized(ThresholdedFilterResponseNormalization(dtype="mixed_float16"), 3)
    x = 200 * images(2, 30, 30, 3)
    y = np.asarray(half(x.astype("float16")))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, formula(x, half), rtol=2e-3, atol=2e-3)


def test_inputs_without_pixels_raise() -> None:
    with pytest.raises(
        ValueError, match=r"expected inputs \(batch, ..., channels\) with pixels.* \(None, 4\)"
    ):
        ThresholdedFilterResponseNormalization().build((None, 4))
