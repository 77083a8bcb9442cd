"""DynamicTanh: the paper's formula in NumPy, its gradient, its stock form and files."""

from pathlib import Path

import keras
import numpy as np
import pytest

from kerasnorm.normalizations import DynamicTanh
from tests.kerasnorm.normalizations.layers import images, randomized, saved_and_loaded


@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (4, 2, 2, 6), (5, 4)])
def test_formula(shape: tuple[int, ...]) -> None:
    layer = randomized(DynamicTanh(dtype="float64"), shape[-1], len(shape))
    x = images(*shape)
    alpha, gamma, beta = (np.asarray(weight) for weight in (layer.alpha, layer.gamma, layer.beta))
    np.testing.assert_allclose(layer(x), gamma * np.tanh(alpha * x) + beta, rtol=1e-12, atol=1e-12)


def test_a_step_of_alpha_follows_its_gradient() -> None:
    layer = DynamicTanh(0.7, dtype="float64")
    model = keras.Sequential([keras.Input((3,), dtype="float64"), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = images(8, 3), images(8, 3, seed=2)
    model.train_on_batch(x, y)
    tanh = np.tanh(0.7 * x)
    slope = np.mean(2 * (tanh - y) * (1 - tanh**2) * x)
    np.testing.assert_allclose(layer.alpha, 0.7 - 0.1 * slope, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
def test_stock_form(dtype: str) -> None:
    layer = randomized(DynamicTanh(dtype=dtype, name="norm3"), 4)
    stock = keras.Sequential(layer.stock_layers())
    assert [one.name for one in stock.layers] == ["norm3_alpha", "norm3_tanh", "norm3"]
    for batch in (1, 3):
        x = images(batch, 3, 3, 4).astype("float32")
        tolerance = 0.05 if dtype == "mixed_bfloat16" else 1e-6
        np.testing.assert_allclose(
            np.asarray(stock(x), "float64"), np.asarray(layer(x), "float64"), rtol=tolerance, atol=tolerance
        )


def test_file(tmp_path: Path) -> None:
    saved_and_loaded(randomized(DynamicTanh(0.25, gamma_regularizer="l2"), 3), (5, 5, 3), tmp_path)
