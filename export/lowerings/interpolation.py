"""How images are resized: by nearest pixels, linearly, or with wider kernels, as `tf.image.resize` does it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from export.builder import Builder, Operand, Tensor
from export.errors import Unsupported
from export.lowerings.operands import as_int64, as_value
from export.lowerings.resampling import KERNELS, Axis, multiply_axis, resize_matrix
from export.lowerings.sizes import Size, size_of, size_vector, sizes_of

# Up to this height, products of matrices are faster than onnxruntime's Resize.
SMALL_HEIGHT = 64


def resize(
    g: Builder, x: Tensor, size: Sequence[Size], interpolation: str, antialias: bool = False
) -> ir.Value:
    """Float images in another size.

    Args:
        g: the builder.
        x: (N, H, W, C) in channels-first layout, or, for 'nearest', in any layout; see `as_images`.
        size: height and width of the result.
        interpolation: 'nearest', 'bilinear', 'area' or another name in `KERNELS`.
        antialias: widen the kernel where an axis shrinks.
    """
    if interpolation not in ("nearest", "area", *KERNELS):
        raise Unsupported(f"a resize with interpolation={interpolation!r}")
    current = [size_of(g, x, axis) for axis in (1, 2)]
    if current == list(size):
        return x.value
    if interpolation == "nearest":
        return _nearest(g, x, current, size)
    if interpolation == "bilinear" and not antialias:
        return _bilinear(g, x, current, size)
    return _by_matrices(g, x.value, current, size, interpolation, antialias)


def _by_matrices(
    g: Builder,
    value: ir.Value,
    current: Sequence[Size],
    size: Sequence[Size],
    interpolation: str,
    antialias: bool,
) -> ir.Value:
    sizes = list(current)
    for axis in (1, 0):
        if sizes[axis] != size[axis]:
            matrix = resize_matrix(g, sizes[axis], size[axis], interpolation, antialias)
            value = multiply_axis(g, value, sizes, axis, matrix)
            sizes[axis] = size[axis]
    return value


def _nearest(g: Builder, x: Tensor, current: Sequence[Size], size: Sequence[Size]) -> ir.Value:
    value = x.value
    for axis, inputs, outputs in zip((1, 2), current, size, strict=True):
        if inputs != outputs:
            value = g.op("Gather", value, _nearest_indices(g, inputs, outputs), axis=g.axis(x, axis))
    return value


def _nearest_indices(g: Builder, inputs: Size, outputs: Size) -> Operand:
    """The index of the input that each output takes: floor((i + 1/2) inputs / outputs)."""
    if isinstance(inputs, int) and isinstance(outputs, int):
        centers: np.ndarray = np.arange(outputs, dtype=np.float32) + np.float32(0.5)
        # In float32, as TensorFlow computes it.
        indices = np.floor(centers * (np.float32(inputs) / np.float32(outputs))).astype(np.int64)
        return np.minimum(indices, inputs - 1)
    before, after = (as_value(g, Axis.of(g, size).number, "float32") for size in (inputs, outputs))
    middles = g.op("Add", as_value(g, Axis.of(g, outputs).places, "float32"), np.float32(0.5))
    whole = g.op("Floor", g.op("Mul", middles, g.op("Div", before, after)))
    last = as_int64(inputs - 1) if isinstance(inputs, int) else g.op("Sub", inputs, as_int64(1))
    return g.op("Min", g.op("Cast", whole, to=int(ir.DataType.INT64)), last)


def _bilinear(g: Builder, x: Tensor, current: Sequence[Size], size: Sequence[Size]) -> ir.Value:
    """Linear along both axes.

    The Resize of ONNX divides by outputs / inputs where TensorFlow multiplies by inputs / outputs. In float32, the
    positions in a large image then differ by 1e-5, and so does the result. So it is used for dynamic sizes, and for
    scales like 2, where the positions are the same. Otherwise the rows of a large image are added up in pairs, and
    everything else is a product with a matrix.
    """
    known = [(a, b) for a, b in zip(current, size, strict=True) if isinstance(a, int) and isinstance(b, int)]
    if len(known) < 2:
        batch, _, _, channels = sizes_of(g, x)
        return _onnx_resize(g, x.value, None, size_vector(g, [batch, channels, *size]))
    height, new_height = known[0]
    value = x.value
    if height > SMALL_HEIGHT:
        if all(_has_same_positions(*one) for one in known):
            scales = np.array([1, 1, *(_scale(*one) for one in known)], np.float32)
            return _onnx_resize(g, value, scales, None)
        if height != new_height:
            value = _interpolate_rows(g, value, height, new_height)
            current = [new_height, current[1]]
    return _by_matrices(g, value, current, size, "bilinear", antialias=False)


def _interpolate_rows(g: Builder, value: ir.Value, inputs: int, outputs: int) -> ir.Value:
    centers = _positions(inputs, outputs) - np.float32(0.5)
    lower = np.floor(centers)
    share = (centers - lower).astype(np.float32)[:, None]
    above = g.op("Gather", value, np.maximum(lower, 0).astype(np.int64), axis=2)
    below = g.op("Gather", value, np.minimum(lower + 1, inputs - 1).astype(np.int64), axis=2)
    return g.op("Add", above, g.op("Mul", g.op("Sub", below, above), share))


def _positions(inputs: int, outputs: int) -> np.ndarray:
    """The middle of each output, in pixels of the input."""
    centers: np.ndarray = np.arange(outputs, dtype=np.float32) + np.float32(0.5)
    return centers * (np.float32(inputs) / np.float32(outputs))


def _has_same_positions(inputs: int, outputs: int) -> bool:
    centers: np.ndarray = np.arange(outputs, dtype=np.float32) + np.float32(0.5)
    return np.array_equal(centers / _scale(inputs, outputs), _positions(inputs, outputs))


def _scale(inputs: int, outputs: int) -> np.float32:
    """A scale of which ONNX makes this number of outputs: it rounds inputs * scale down."""
    scale = np.float32(outputs / inputs)
    return scale if inputs * float(scale) >= outputs else np.nextafter(scale, np.float32(np.inf))


def _onnx_resize(g: Builder, value: ir.Value, scales: Operand, sizes: Operand) -> ir.Value:
    mode = "half_pixel"
    return g.op("Resize", value, None, scales, sizes, mode="linear", coordinate_transformation_mode=mode)
