"""Discrete Fourier transforms, as products with constant matrices.

    X[k] = sum_j x[j] (cos(2 pi j k / n) - i sin(2 pi j k / n))

onnxruntime multiplies faster than its DFT operator transforms up to a length of about 1000, and that operator loses two
digits where the length is no power of 2. A complex number is a pair of tensors. Both are joined along the transformed
axis, so that a transform is a single MatMul; that of a short-time transform holds its window too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import as_int64
from export.lowerings.patches import windows
from export.lowerings.registry import register_operation
from export.lowerings.sizes import TO_THE_END, reshape_to, sizes_of

Pair = Sequence[Tensor]

# A matrix of this many rows takes 128 MB.
LONGEST = 4096


def _angles(length: int, rows: int, columns: int) -> np.ndarray:
    """2 pi j k / length for each row j and column k."""
    if length > LONGEST:
        raise Unsupported(f"a Fourier transform of length {length}; the longest one is {LONGEST}")
    # Whole turns are taken off while the numbers are integers, which is exact.
    return 2 * np.pi / length * (np.outer(np.arange(rows), np.arange(columns)) % length)


def real_transform(length: int, rows: int) -> np.ndarray:
    """The matrix from `rows` real numbers to the real and the imaginary parts of length // 2 + 1 coefficients."""
    angles = _angles(length, rows, length // 2 + 1)
    used = (np.arange(rows) < length)[:, None]  # numbers after the length are left out
    return np.concatenate([np.cos(angles), -np.sin(angles)], axis=1) * used


def inverse_real_transform(length: int, rows: int) -> np.ndarray:
    """The matrix from the real and the imaginary parts of `rows` coefficients to `length` real numbers."""
    angles, coefficient = _angles(length, rows, length), np.arange(rows)[:, None]
    # The coefficients beyond the middle are the conjugates of the others.
    twice = np.where((coefficient == 0) | (2 * coefficient == length), 1, 2)
    weights = np.where(coefficient <= length // 2, twice, 0) / length
    return np.concatenate([weights * np.cos(angles), -weights * np.sin(angles)])


def complex_transform(length: int, inverse: bool = False) -> np.ndarray:
    """The matrix from the real and the imaginary parts of `length` complex numbers to those of their transform."""
    angles = _angles(length, length, length)
    cosines, sines = np.cos(angles), -np.sin(angles) if inverse else np.sin(angles)
    return np.block([[cosines, -sines], [sines, cosines]]) / (length if inverse else 1)


def _known_length(x: Tensor, axis: int = -1) -> int:
    length = x.shape[axis]
    if length is None:
        raise Unsupported("a Fourier transform along a dynamic dimension")
    return length


def _pair(g: Builder, value: ir.Value, axis: int) -> list[Tensor]:
    """The real and the imaginary parts that lie behind each other along an axis."""
    number = 2 if g.opset >= 18 else None
    parts = g.op("Split", value, axis=axis, outputs=2, num_outputs=number)
    return [g.tensor(part, shape) for part, shape in zip(parts, g.output_shapes, strict=True)]


def _joined(g: Builder, x: Pair, axis: int) -> ir.Value:
    return g.op("Concat", *(g.keras_layout(part).value for part in x), axis=axis)


@register_operation("fft")
def lower_fft(g: Builder, operation: keras.Operation, x: Pair) -> list[Tensor]:
    """The transform of complex numbers along the last axis."""
    matrix = complex_transform(_known_length(x[0]))
    return _pair(g, g.op("MatMul", _joined(g, x, -1), g.weight(matrix)), -1)


@register_operation("fft2")
def lower_fft2(g: Builder, operation: keras.Operation, x: Pair) -> list[Tensor]:
    """The transform of complex numbers along the last two axes."""
    return _transform_both_axes(g, x, inverse=False)


@register_operation("ifft2")
def lower_ifft2(g: Builder, operation: keras.Operation, x: Pair) -> list[Tensor]:
    """The inverse transform of complex numbers along the last two axes."""
    return _transform_both_axes(g, x, inverse=True)


def _transform_both_axes(g: Builder, x: Pair, inverse: bool) -> list[Tensor]:
    along_rows = complex_transform(_known_length(x[0]), inverse)
    along_columns = complex_transform(_known_length(x[0], -2), inverse)
    rows = _pair(g, g.op("MatMul", _joined(g, x, -1), g.weight(along_rows)), -1)
    return _pair(g, g.op("MatMul", g.weight(along_columns.T), _joined(g, rows, -2)), -2)


@register_operation("rfft")
def lower_rfft(g: Builder, operation: Any, x: Tensor) -> list[Tensor]:
    """The transform of real numbers along the last axis."""
    rows = _known_length(x)
    matrix = real_transform(operation.fft_length or rows, rows)
    return _pair(g, g.op("MatMul", g.keras_layout(x).value, g.weight(matrix)), -1)


@register_operation("irfft")
def lower_irfft(g: Builder, operation: Any, x: Pair) -> Tensor:
    """Real numbers from their transform along the last axis."""
    rows = _known_length(x[0])
    matrix = inverse_real_transform(operation.fft_length or 2 * (rows - 1), rows)
    return g.result(g.op("MatMul", _joined(g, x, -1), g.weight(matrix)))


@register_operation("stft")
def lower_stft(g: Builder, operation: Any, x: Tensor) -> list[Tensor]:
    """The transforms of windows that move along the last axis."""
    x, length = g.keras_layout(x), operation.fft_length
    if operation.center:
        ends = [*[0] * (x.rank - 1), length // 2]
        size = None if x.shape[-1] is None else x.shape[-1] + 2 * (length // 2)
        x = g.tensor(g.op("Pad", x.value, as_int64(*ends, *ends), mode="reflect"), (*x.shape[:-1], size))
    matrix = _window(operation)[:, None] * real_transform(length, length)
    return _pair(g, g.op("MatMul", windows(g, x, length, operation.sequence_stride), g.weight(matrix)), -1)


@register_operation("istft")
def lower_istft(g: Builder, operation: Any, x: Pair) -> Tensor:
    """A signal from the transforms of its windows, which are added up where they overlap."""
    length, stride, rows = operation.fft_length, operation.sequence_stride, _known_length(x[0])
    matrix = inverse_real_transform(length, rows) * _inverse_window(operation)
    batch = sizes_of(g, x[0])[:-2]
    frames = _joined(g, x, -1)  # (..., number, 2 rows)
    if len(batch) != 1:
        frames = reshape_to(g, frames, [-1, *sizes_of(g, x[0])[-2:-1], 2 * rows])
    frames = g.op("Transpose", frames, perm=[0, 2, 1])
    signal = g.op("ConvTranspose", frames, g.weight(matrix[:, None]), strides=[stride], kernel_shape=[length])
    start = length // 2 if operation.center else 0
    end = TO_THE_END
    if operation.length is not None:
        end = start + operation.length
    elif operation.center:
        end = -(length // 2)
    signal = g.op("Slice", signal, as_int64(start), as_int64(end), as_int64(2))
    if len(batch) == 1:
        return g.result(g.op("Squeeze", signal, as_int64(1)))
    return g.result(reshape_to(g, signal, [*batch, -1]))


def _window(operation: Any) -> np.ndarray:
    """The window of a short-time transform, in the middle of `fft_length` numbers."""
    size, window = operation.sequence_length, operation.window
    if window is None:
        return np.ones(operation.fft_length)
    if isinstance(window, str):
        middle = {"hann": 0.5, "hamming": 0.54}[window]
        # TensorFlow's windows are periodic only if their length is even.
        period = max(1, size if size % 2 == 0 else size - 1)
        window = (
            middle - (1 - middle) * np.cos(2 * np.pi / period * np.arange(size)) if size > 1 else np.ones(1)
        )
    before = (operation.fft_length - size) // 2
    return np.pad(np.asarray(window, np.float64), (before, operation.fft_length - size - before))


def _inverse_window(operation: Any) -> np.ndarray:
    """The window over the sum of its squares at all places where it overlaps with itself."""
    if operation.window is None:
        return np.ones(operation.fft_length)
    window, stride = _window(operation), operation.sequence_stride
    squares = np.pad(window**2, (0, -len(window) % stride)).reshape(-1, stride).sum(0)
    sums = np.resize(squares, len(window))
    return np.divide(window, sums, out=np.zeros_like(window), where=sums != 0)
