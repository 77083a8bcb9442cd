"""The Fourier transform of a tensor of dynamic size, while a layer's `call` is traced; Keras has it for known sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras.src.ops.math import FFT2  # Keras has no public name for it

ops = keras.ops

Pair = tuple[keras.KerasTensor, keras.KerasTensor]


def fft2(x: Sequence[keras.KerasTensor]) -> Pair:
    """keras.ops.fft2: the transform of complex numbers along the last two axes."""
    real, imaginary = x
    if None not in real.shape[-2:]:
        return FFT2().symbolic_call((real, imaginary))
    real, imaginary = _along_the_last_axis(real, imaginary)
    turned = _along_the_last_axis(ops.swapaxes(real, -1, -2), ops.swapaxes(imaginary, -1, -2))
    return ops.swapaxes(turned[0], -1, -2), ops.swapaxes(turned[1], -1, -2)


def _along_the_last_axis(real: keras.KerasTensor, imaginary: keras.KerasTensor) -> Pair:
    """X[k] = sum_j x[j] (cos(2 pi j k / n) - i sin(2 pi j k / n))."""
    n = ops.shape(real)[-1]
    places = ops.arange(n)
    # Whole turns are taken off while the numbers are integers, which is exact.
    turns = ops.cast(ops.mod(ops.expand_dims(places, 1) * places, n), real.dtype) / ops.cast(n, real.dtype)
    cosines, sines = ops.cos(2 * math.pi * turns), ops.sin(2 * math.pi * turns)
    return (
        ops.matmul(real, cosines) + ops.matmul(imaginary, sines),
        ops.matmul(imaginary, cosines) - ops.matmul(real, sines),
    )
