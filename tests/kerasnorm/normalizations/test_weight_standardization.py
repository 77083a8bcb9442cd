"""StandardizedConv2D: a convolution with the paper's kernel, its gradient, penalty, stock form and files."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kerasnorm.normalizations import StandardizedConv2D
from tests.kerasnorm.normalizations.layers import images, randomized, saved_and_loaded


def standardized(kernel: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    columns = kernel.reshape(-1, kernel.shape[-1])
    columns = (columns - columns.mean(0)) / np.sqrt(columns.var(0) + epsilon)
    return columns.reshape(kernel.shape)


@pytest.mark.parametrize(
    "options", [{}, {"padding": "same", "strides": 2, "activation": "relu"}, {"groups": 2, "use_bias": False}]
)
def test_it_is_a_convolution_with_the_standardized_kernel(options: dict[str, Any]) -> None:
    layer = randomized(StandardizedConv2D(6, 3, dtype="float64", **options), 4)
    conv = randomized(keras.layers.Conv2D(6, 3, dtype="float64", **options), 4)
    conv.kernel.assign(standardized(np.asarray(layer.kernel)))
    (stock,) = layer.stock_layers()
    assert type(stock) is keras.layers.Conv2D
    for batch in (1, 3):
        x = images(batch, 7, 8, 4)
        np.testing.assert_allclose(layer(x), conv(x), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(stock(x), conv(x), rtol=1e-9, atol=1e-9)


def test_scale_and_shift_of_a_filter_have_no_effect() -> None:
    layer = randomized(StandardizedConv2D(4, 3, epsilon=0.0, dtype="float64"), 2)
    x = images(2, 6, 6, 2)
    before = np.asarray(layer(x))
    layer.kernel.assign(np.asarray(layer.kernel) * [0.1, 1, 3, 100] + [1, 0, -5, 2])
    np.testing.assert_allclose(layer(x), before, rtol=1e-9, atol=1e-9)


def test_gradient_and_penalty_are_those_of_the_kernel() -> None:
    penalty = keras.regularizers.L2(0.125)
    layer = randomized(StandardizedConv2D(2, 3, kernel_regularizer=penalty, use_bias=False), 1)
    start = np.asarray(layer.kernel, np.float64)
    model = keras.Sequential([keras.Input((5, 5, 1)), layer])
    model.compile(keras.optimizers.SGD(1.0), lambda y_true, y: keras.ops.sum(y_true * y, axis=(1, 2, 3)))
    x, y = images(3, 5, 5, 1), images(3, 3, 3, 2, seed=5)

    def loss(kernel: np.ndarray) -> float:
        conv = keras.layers.Conv2D(2, 3, use_bias=False, dtype="float64")
        conv.build((None, 5, 5, 1))
        conv.kernel.assign(standardized(kernel))
        return float(np.mean(np.sum(y * np.asarray(conv(x)), axis=(1, 2, 3))) + 0.125 * np.sum(kernel**2))

    assert layer.losses
    np.testing.assert_allclose(float(layer.losses[0]), 0.125 * np.sum(start**2), rtol=1e-6, atol=0)
    model.train_on_batch(x, y)
    gradient = start - np.asarray(layer.kernel)
    for index in [(0, 0, 0, 0), (2, 1, 0, 1)]:
        step = np.zeros_like(start)
        step[index] = 1e-5
        slope = (loss(start + step) - loss(start - step)) / 2e-5
        np.testing.assert_allclose(gradient[index], slope, rtol=1e-4, atol=1e-5)
    (stock,) = layer.stock_layers()
    assert stock.kernel_regularizer is None


def test_file_and_bfloat16(tmp_path: Path) -> None:
    layer = randomized(StandardizedConv2D(3, (3, 2), epsilon=1e-3, kernel_regularizer="l2"), 2)
    saved_and_loaded(layer, (5, 5, 2), tmp_path)
    half = randomized(StandardizedConv2D(3, 3, dtype="mixed_bfloat16"), 2)
    y = half(images(2, 5, 5, 2).astype("float32"))
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
