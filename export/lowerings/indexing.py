"""Indexing: slices, lookups by index, reversed axes and one-hot vectors."""

from __future__ import annotations

from types import EllipsisType

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import Argument, as_array, as_int64, as_value, cast, normalize_axes, rank
from export.lowerings.registry import register_operation

TO_THE_END = np.iinfo(np.int64).max

Key = int | slice | EllipsisType | None


@register_operation("get_item")
def lower_get_item(g: Builder, operation: keras.Operation, x: Tensor, key: Key | tuple[Key, ...]) -> Tensor:
    """x[key] with a key of integers, slices, `...` and None."""
    x = g.keras_layout(x)
    keys = list(key) if isinstance(key, (tuple, list)) else [key]
    if any(isinstance(one, (Tensor, list, np.ndarray)) or keras.ops.is_tensor(one) for one in keys):
        raise Unsupported("indexing by a tensor; use ops.take")
    named = sum(one is not None and one is not Ellipsis for one in keys)
    ellipsis = next((i for i, one in enumerate(keys) if one is Ellipsis), len(keys))
    keys[ellipsis : ellipsis + 1] = [slice(None)] * (x.rank - named)
    bounds: list[tuple[int, int, int, int]] = []  # start, end, axis, step
    dropped: list[int] = []
    added: list[int] = []
    axis = 0
    for one in keys:
        if one is None:
            added.append(axis - len(dropped) + len(added))
            continue
        if isinstance(one, slice):
            if (one.start, one.stop, one.step or 1) != (None, None, 1):
                bounds.append(_slice_bounds(one, axis))
        else:
            index = int(one)  # type: ignore[arg-type]
            bounds.append((index, index + 1 if index != -1 else TO_THE_END, axis, 1))
            dropped.append(axis)
        axis += 1
    value = x.value
    if bounds:
        value = g.op("Slice", value, *(as_int64(*column) for column in zip(*bounds, strict=True)))
    if dropped:
        value = g.op("Squeeze", value, as_int64(*dropped))
    if added:
        value = g.op("Unsqueeze", value, as_int64(*added))
    return g.result(value)


def _slice_bounds(one: slice, axis: int) -> tuple[int, int, int, int]:
    step = 1 if one.step is None else one.step
    start = (0 if step > 0 else TO_THE_END) if one.start is None else one.start
    end = (TO_THE_END if step > 0 else -TO_THE_END) if one.stop is None else one.stop
    return start, end, axis, step


@register_operation("take")
def lower_take(g: Builder, operation: keras.Operation, x: Argument, indices: Argument) -> Tensor:
    """Elements of an axis by index; a negative index counts from the end."""
    if operation.axis is None:
        raise Unsupported("take without an axis")
    value = as_value(g, x, g.output_dtypes[0])
    if not isinstance(indices, Tensor):
        positions = g.constant(np.asarray(indices, np.int64))
    elif indices.dtype in ("int32", "int64"):
        positions = g.keras_layout(indices).value
    else:
        positions = cast(g, g.keras_layout(indices), "int32")
    return g.result(g.op("Gather", value, positions, axis=operation.axis % rank(x)))


@register_operation("flip")
def lower_flip(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Axes in reverse; by default, all of them."""
    axes = as_int64(*(g.axis(x, axis) for axis in normalize_axes(operation.axis, x.rank)))
    backwards = np.full_like(axes, -1)
    return g.like(x, g.op("Slice", x.value, backwards, np.full_like(axes, -TO_THE_END), axes, backwards))


@register_operation("one_hot")
def lower_one_hot(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Class numbers as vectors with a single 1."""
    values = as_array([0, 1], g.output_dtypes[0])
    axis = operation.axis if operation.axis is not None else -1
    # ONNX counts a negative class from the end, where Keras returns zeros. The number of classes is out of range.
    number = np.array(operation.num_classes, np.int64)
    classes = cast(g, g.keras_layout(x), "int64")
    classes = g.op("Where", g.op("Less", classes, np.zeros_like(number)), number, classes)
    return g.result(g.op("OneHot", classes, number, values, axis=axis))
