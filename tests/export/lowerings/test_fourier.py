"""Fourier transforms, against Keras, and their matrices against NumPy."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from export.lowerings.fourier import complex_transform, inverse_real_transform, real_transform
from tests.export.helpers import check_operations, converted, kinds, random_array

WINDOW = np.linspace(0.1, 1, 8).astype("float32")

CASES: dict[str, Callable[[Any], Any]] = {
    "fft": lambda x: ops.fft((x, x[:, ::-1])),
    "fft2": lambda x: ops.fft2((x, x[:, ::-1])),
    "ifft2": lambda x: ops.ifft2((x, x[:, ::-1])),
    "rfft": ops.rfft,
    "rfft, shorter": lambda x: ops.rfft(x, 9),
    "rfft, longer": lambda x: ops.rfft(x, 20),
    "irfft": lambda x: ops.irfft((x, x[:, ::-1])),
    "irfft, shorter": lambda x: ops.irfft((x, x[:, ::-1]), 9),
    "irfft, longer": lambda x: ops.irfft((x, x[:, ::-1]), 30),
    "stft": lambda x: ops.stft(x, 6, 3, 6),
    "stft of a padded window": lambda x: ops.stft(x, 5, 2, 8, window="hamming", center=False),
    "stft of an own window": lambda x: ops.stft(x, 8, 3, 9, window=WINDOW),
    "stft without a window": lambda x: ops.stft(x, 8, 4, 8, window=None),
    "istft": lambda x: ops.istft((x[:, :, :5], x[:, ::-1, :5]), 8, 4, 8),
    "istft of a padded window": lambda x: ops.istft(
        (x[:, :, :5], x[:, ::-1, :5]), 7, 3, 8, window="hamming", center=False
    ),
    "istft of a length": lambda x: ops.istft((x[:, :, :5], x[:, ::-1, :5]), 8, 4, 8, length=9, window=None),
}


def test_operations() -> None:
    check_operations(CASES, shape=(7, 14), sizes=[(1, 7, 14), (3, 7, 14)])


@pytest.mark.parametrize("shape", [(), (2, 3)], ids=str)
def test_short_time_transforms_of_any_rank(shape: tuple[int, ...]) -> None:
    x = keras.Input((*shape, 24), name="x")
    real, imaginary = ops.stft(x, 8, 4, 8)
    converted(keras.Model(x, [real, ops.istft((real, imaginary), 8, 4, 8)]), atol=1e-4)


def test_short_time_transforms_of_a_dynamic_length() -> None:
    x = keras.Input((None,), name="x")
    real, imaginary = ops.stft(x, 8, 4, 8)
    model = keras.Model(x, [real, imaginary, ops.istft((real, imaginary), 8, 4, 8)])
    converted(model, atol=1e-4)


def test_a_transform_is_a_product() -> None:
    x = keras.Input((16,), name="x")
    assert kinds(converted(keras.Model(x, ops.rfft(x)), atol=1e-4)) == ["MatMul", "Split"]


def test_transform_along_a_dynamic_dimension_is_unsupported() -> None:
    x = keras.Input((None,), name="x")
    with pytest.raises(UserError, match="a Fourier transform along a dynamic dimension"):
        converted(keras.Model(x, ops.rfft(x)))


@pytest.mark.parametrize("length", [1, 2, 7, 8, 600])
def test_matrices(length: int) -> None:
    x, y = random_array(3, length).astype(np.float64), random_array(3, length, seed=1).astype(np.float64)
    parts = np.concatenate([x, y], axis=1)
    transform, inverse = np.fft.fft(x + 1j * y), np.fft.ifft(x + 1j * y)
    of_real = np.fft.rfft(x)
    as_parts = np.concatenate([of_real.real, of_real.imag], axis=1)
    options: Any = {"rtol": 1e-11, "atol": 1e-11}
    got = parts @ complex_transform(length)
    np.testing.assert_allclose(got, np.concatenate([transform.real, transform.imag], axis=1), **options)
    got = parts @ complex_transform(length, inverse=True)
    np.testing.assert_allclose(got, np.concatenate([inverse.real, inverse.imag], axis=1), **options)
    np.testing.assert_allclose(x @ real_transform(length, length), as_parts, **options)
    got = as_parts @ inverse_real_transform(length, length // 2 + 1)
    np.testing.assert_allclose(got, x, **options)
