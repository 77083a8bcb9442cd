"""Indexing: slices and lookups by index."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Shape, Tensor
from export.lowerings.operands import Argument, as_array, as_int64, as_value, cast, rank
from export.lowerings.registry import register_operation
from export.lowerings.shape import ravel
from export.lowerings.sizes import TO_THE_END, Size, add_sizes, as_size, size_of, size_vector

Index = int | Tensor
Key = Index | slice | EllipsisType | None
Bounds = tuple[Index, Index, int, int]  # start, end, axis, step


@register_operation("get_item")
def lower_get_item(
    g: Builder, operation: keras.Operation, x: Tensor, key: Key | list[Key] | tuple[Key, ...]
) -> Tensor:
    """x[key] with a key of integers, scalar tensors, slices, `...` and None."""
    return get_item(g, x, list(key) if isinstance(key, (tuple, list)) else [key])


def get_item(g: Builder, x: Tensor, keys: list[Key]) -> Tensor:
    """x[keys]."""
    x = g.keras_layout(x)
    named = sum(one is not None and one is not Ellipsis for one in keys)
    ellipsis = next((i for i, one in enumerate(keys) if one is Ellipsis), len(keys))
    keys[ellipsis : ellipsis + 1] = [slice(None)] * (x.rank - named)
    bounds: list[Bounds] = []
    lookups: list[tuple[int, Tensor]] = []
    dropped: list[int] = []
    added: list[int] = []
    axis = 0
    for one in keys:
        if one is None:
            added.append(axis - len(dropped) - len(lookups) + len(added))
            continue
        if isinstance(one, slice):
            if (one.start, one.stop, one.step or 1) != (None, None, 1):
                bounds.append(_slice_bounds(one, axis))
        elif isinstance(one, Tensor):
            lookups.append((axis, one))
        else:
            index = int(one)  # type: ignore[arg-type]
            bounds.append((index, index + 1 if index != -1 else TO_THE_END, axis, 1))
            dropped.append(axis)
        axis += 1
    value = _slice(g, x.value, bounds)
    for axis, position in reversed(lookups):
        value = g.op("Gather", value, position.value, axis=axis)
    if dropped:
        lost = [sum(other < axis for other, _ in lookups) for axis in dropped]
        value = g.op("Squeeze", value, as_int64(*(axis - n for axis, n in zip(dropped, lost, strict=True))))
    if added:
        value = g.op("Unsqueeze", value, as_int64(*added))
    return g.result(value)


def _slice(g: Builder, value: ir.Value, bounds: Sequence[Bounds]) -> ir.Value:
    """A Slice along some axes."""
    if not bounds:
        return value
    starts, ends, axes, steps = zip(*bounds, strict=True)
    vectors = [size_vector(g, [as_size(g, one) for one in column]) for column in (starts, ends)]
    return g.op("Slice", value, *vectors, as_int64(*axes), as_int64(*steps))


def _slice_bounds(one: slice, axis: int) -> Bounds:
    step = 1 if one.step is None else int(one.step)
    start = (0 if step > 0 else TO_THE_END) if one.start is None else one.start
    end = (TO_THE_END if step > 0 else -TO_THE_END) if one.stop is None else one.stop
    return start, end, axis, step


@register_operation("slice")
def lower_slice(
    g: Builder, operation: keras.Operation, x: Tensor, start_indices: Argument | Sequence[Index]
) -> Tensor:
    """A block of a tensor from its first indices and its shape; -1 is up to the end."""
    x = g.keras_layout(x)
    starts = start_sizes(g, start_indices, x.rank)
    lengths = [int(length) for length in operation.shape]
    axes = [
        axis for axis in range(x.rank) if (starts[axis], lengths[axis]) not in ((0, -1), (0, x.shape[axis]))
    ]
    if not axes:
        return x
    ends = [TO_THE_END if lengths[axis] == -1 else add_sizes(g, starts[axis], lengths[axis]) for axis in axes]
    first = size_vector(g, [starts[axis] for axis in axes])
    return g.result(g.op("Slice", x.value, first, size_vector(g, ends), as_int64(*axes)))


def start_sizes(g: Builder, indices: Argument | Sequence[Index], number: int) -> list[Size]:
    """The first index of each axis, given as a vector or as a sequence."""
    if isinstance(indices, Tensor):
        vector = cast(g, indices, "int64")
        return [g.op("Slice", vector, as_int64(one), as_int64(one + 1)) for one in range(number)]
    return [as_size(g, one) for one in indices]  # type: ignore[union-attr,arg-type]


@register_operation("take")
def lower_take(g: Builder, operation: keras.Operation, x: Argument, indices: Argument) -> Tensor:
    """Elements of an axis by index; by default, of the tensor in a row. A negative index counts from the end."""
    axis = operation.axis
    if axis is None:
        x, axis = (ravel(g, x) if isinstance(x, Tensor) else np.ravel(x)), 0
    if isinstance(x, Tensor) and isinstance(indices, Tensor) and axis % x.rank == 0:
        g.note_mixed_rows()
    value = as_value(g, x, g.output_dtypes[0])
    return g.result(g.op("Gather", value, _positions(g, indices), axis=axis % rank(x)))


def _shape(x: Argument) -> Shape:
    return x.shape if isinstance(x, Tensor) else np.shape(x)


def _positions(g: Builder, indices: Argument) -> ir.Value:
    if not isinstance(indices, Tensor):
        return g.constant(np.asarray(indices, np.int64))
    if indices.dtype in ("int32", "int64"):
        return g.keras_layout(indices).value
    return cast(g, g.keras_layout(indices), "int32")


@register_operation("take_along_axis")
def lower_take_along_axis(g: Builder, operation: keras.Operation, x: Argument, indices: Argument) -> Tensor:
    """Elements of an axis by an index for each; the other axes broadcast."""
    axis = operation.axis
    if axis is None:
        x, axis = (ravel(g, x) if isinstance(x, Tensor) else np.ravel(x)), 0
    axis = axis % rank(x)
    value, positions = as_value(g, x, g.output_dtypes[0]), _positions(g, indices)
    value = _broadcast(g, value, x, indices, axis)
    positions = _broadcast(g, positions, indices, x, axis)
    return g.result(g.op("GatherElements", value, positions, axis=axis))


def _broadcast(g: Builder, value: ir.Value, x: Argument, other: Argument, axis: int) -> ir.Value:
    """`value`, which holds `x`, with its axes of size 1 as long as those of another tensor, except for one axis."""
    sizes: list[Size] = [1] * rank(x)  # 1 leaves an axis alone
    for one in range(rank(x)):
        if one != axis and _shape(x)[one] == 1 != _shape(other)[one]:
            sizes[one] = size_of(g, other, one) if isinstance(other, Tensor) else np.shape(other)[one]
    return value if set(sizes) == {1} else g.op("Expand", value, size_vector(g, sizes))


@register_operation("nonzero")
def lower_nonzero(g: Builder, operation: keras.Operation, x: Tensor) -> list[Tensor]:
    """The indices of the elements that are not 0: a vector for each axis."""
    indices = g.op("Cast", g.op("NonZero", g.keras_layout(x).value), to=int(ir.DataType.INT32))
    return [
        g.tensor(g.op("Gather", indices, np.array(axis, np.int64)), (None,), dtype="int32")
        for axis in range(x.rank)
    ]


@register_operation("unravel_index")
def lower_unravel_index(g: Builder, operation: keras.Operation, x: Tensor) -> list[Tensor]:
    """Positions in a row as indices of each axis of a shape."""
    rest, indices = g.keras_layout(x).value, []
    # Keras counts the axes of a vector from the last one, and those of anything else from the first one.
    for size in operation.shape[::-1] if x.rank == 1 else operation.shape:
        number = as_array(size, x.dtype)
        index = g.op("Mod", rest, number)
        rest = g.op("Div", g.op("Sub", rest, index), number)
        indices.append(g.tensor(index, x.shape, dtype=x.dtype))
    return indices[::-1]
