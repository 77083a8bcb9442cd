"""Elements in another order along an axis: reversed, rolled, turned."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.lowerings.operands import as_int64, normalize_axes
from export.lowerings.registry import register_operation
from export.lowerings.shape import ravel
from export.lowerings.sizes import size_of

ops = keras.ops

BEFORE_THE_START = -np.iinfo(np.int64).max


def flip(g: Builder, x: Tensor, keras_axes: Sequence[int]) -> Tensor:
    """Axes in reverse."""
    axes = as_int64(*(g.axis(x, axis) for axis in keras_axes))
    backwards = np.full_like(axes, -1)
    return g.like(x, g.op("Slice", x.value, backwards, np.full_like(axes, BEFORE_THE_START), axes, backwards))


@register_operation("flip")
def lower_flip(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Axes in reverse; by default, all of them."""
    return flip(g, x, normalize_axes(operation.axis, x.rank))


@register_operation("flipud", optional=True)
def lower_flipud(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Axis 0 in reverse."""
    return flip(g, x, [0])


@register_operation("fliplr", optional=True)
def lower_fliplr(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Axis 1 in reverse."""
    return flip(g, x, [1])


@register_operation("rot90", optional=True)
def lower_rot90(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The plane of two axes turned by 90 degrees, k times."""
    first, second = (axis % x.rank for axis in operation.axes)
    turns = {
        0: lambda x: x,
        1: lambda x: ops.swapaxes(ops.flip(x, second), first, second),
        2: lambda x: ops.flip(x, (first, second)),
        3: lambda x: ops.flip(ops.swapaxes(x, first, second), second),
    }
    return g.lower(turns[operation.k % 4], x)


@register_operation("roll")
def lower_roll(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Elements moved along axes; those that leave at the end come in at the start."""
    if operation.axis is None:
        x = g.keras_layout(x)
        rolled = _roll(g, ravel(g, x), 0, int(operation.shift))
        return g.result(g.op("Reshape", rolled.value, g.op("Shape", x.value)))
    axes = np.ravel(np.asarray(operation.axis))
    shifts = np.broadcast_to(np.asarray(operation.shift), axes.shape)
    for axis, shift in zip(axes, shifts, strict=True):
        x = _roll(g, x, int(axis), int(shift))
    return x


def _roll(g: Builder, x: Tensor, axis: int, shift: int) -> Tensor:
    size = size_of(g, x, axis)
    if isinstance(size, int) and shift % size == 0:
        return x
    if isinstance(size, int):
        sizes = g.constant(as_int64(size - shift % size, shift % size))
    else:
        moved = g.op("Mod", as_int64(shift), size)
        sizes = g.op("Concat", g.op("Sub", size, moved), moved, axis=0)
    onnx_axis = g.axis(x, axis)
    start, end = g.op("Split", x.value, sizes, axis=onnx_axis, outputs=2)
    return g.like(x, g.op("Concat", end, start, axis=onnx_axis))
