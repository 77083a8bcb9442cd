"""RootMeanSquareNormalization: the paper's formula in NumPy, its invariance, files and other precisions."""

from pathlib import Path

import numpy as np
import pytest

from kerasnorm.normalizations import RootMeanSquareNormalization
from tests.kerasnorm.normalizations.layers import images, randomized, saved_and_loaded


def formula(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    rows = [image / np.sqrt((image**2).mean() + epsilon) * gamma + beta for image in x]
    return np.stack(rows)


@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (4, 2, 2, 6), (3, 7, 2), (5, 4)])
def test_formula(shape: tuple[int, ...]) -> None:
    layer = randomized(RootMeanSquareNormalization(dtype="float64"), shape[-1], len(shape))
    x = images(*shape)
    expected = formula(x, np.asarray(layer.gamma), np.asarray(layer.beta))
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12, atol=1e-12)


def test_the_scale_of_an_image_has_no_effect_and_its_mean_does() -> None:
    layer = randomized(RootMeanSquareNormalization(epsilon=0.0, dtype="float64"), 3)
    x = images(4, 5, 5, 3)
    scaled = x * np.array([0.01, 1, 7, 1e4]).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(layer(scaled), layer(x), rtol=1e-12, atol=1e-12)
    assert np.abs(np.asarray(layer(x + 1)) - np.asarray(layer(x))).max() > 0.1


def test_file_and_float16(tmp_path: Path) -> None:
    layer = randomized(RootMeanSquareNormalization(epsilon=1e-3, gamma_regularizer="l2"), 3)
    saved_and_loaded(layer, (5, 5, 3), tmp_path)
    half = randomized(RootMeanSquareNormalization(dtype="mixed_float16"), 3)
    assert half.gamma.dtype == "float32"
    x = 200 * images(2, 30, 30, 3)  # the sum of squares is beyond float16
    y = np.asarray(half(x.astype("float16")))
    assert y.dtype == np.float16
    np.testing.assert_allclose(
        y, formula(x, np.asarray(half.gamma), np.asarray(half.beta)), rtol=2e-3, atol=2e-3
    )


def test_unknown_channels_raise() -> None:
    with pytest.raises(ValueError, match=r"expected a known number of channels.* got \(None, 4, None\)"):
        RootMeanSquareNormalization().build((None, 4, None))
