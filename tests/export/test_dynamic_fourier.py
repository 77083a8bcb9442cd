"""The Fourier transform of tensors of dynamic size."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import convert
from export.dynamic_fourier import fft2
from tests.export.helpers import random_array, run
from tests.export.test_dynamic_sizes import Custom


@pytest.mark.parametrize("sizes", [(1, 6), (5, 6), (64, 6), (150, 6)])
def test_equals_numpy_in_float64(sizes: tuple[int, int]) -> None:
    def transform(layer: Any, x: Any) -> Any:
        return ops.stack(ops.fft2((x, 0.5 * x)))

    x = keras.Input((None, 6), name="x")
    array = random_array(2, *sizes)
    (got,) = run(convert(keras.Model(x, Custom(transform)(x))), array)
    exact = np.fft.fft2(array.astype(np.float64) * (1 + 0.5j))
    largest = np.abs(exact).max()
    np.testing.assert_allclose(got, [exact.real, exact.imag], rtol=0, atol=1e-5 * largest)


def test_known_sizes_are_left_to_keras() -> None:
    symbol = keras.KerasTensor((None, 4, 6))
    real, imaginary = fft2((symbol, symbol))
    assert real.shape == imaginary.shape == (None, 4, 6)
    assert type(real._keras_history.operation).__name__ == "FFT2"
