"""Joining, splitting and repeating tensors."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import Argument, align, as_int64, as_value
from export.lowerings.registry import register_lowering, register_operation

layers = keras.layers


def concatenate(g: Builder, tensors: Sequence[Argument], axis: int) -> Tensor:
    """Tensors and constants joined along a Keras axis."""
    shape = g.output_shapes[0]
    values, first = align(g, tensors, len(shape), g.output_dtypes[0])
    layout = Tensor(values[0], shape, first)
    return g.result(g.op("Concat", *values, axis=g.axis(layout, axis)), layout)


@register_lowering(layers.Concatenate, any_layout=True)
def lower_concatenate_layer(g: Builder, layer: keras.layers.Concatenate, tensors: Sequence[Tensor]) -> Tensor:
    """Concatenate."""
    return concatenate(g, tensors, layer.axis)


@register_operation("concatenate")
def lower_concatenate(g: Builder, operation: keras.Operation, tensors: Sequence[Argument]) -> Tensor:
    """keras.ops.concatenate."""
    return concatenate(g, tensors, operation.axis)


@register_operation("stack")
def lower_stack(g: Builder, operation: keras.Operation, tensors: Sequence[Argument]) -> Tensor:
    """Tensors joined along a new axis."""
    axis = operation.axis % len(g.output_shapes[0])
    values = [as_value(g, x, g.output_dtypes[0]) for x in tensors]
    parts = [g.op("Unsqueeze", value, as_int64(axis)) for value in values]
    return g.result(g.op("Concat", *parts, axis=axis))


@register_operation("split")
def lower_split(g: Builder, operation: keras.Operation, x: Tensor) -> list[Tensor]:
    """Parts of an axis."""
    axis = operation.axis % x.rank
    sizes = [shape[axis] for shape in g.output_shapes]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        raise Unsupported("a split along a dynamic dimension")
    if len(sizes) == 1:
        return [x]
    values = g.op("Split", x.value, as_int64(*known), axis=g.axis(x, axis), outputs=len(sizes))
    return [g.like(x, value, shape) for value, shape in zip(values, g.output_shapes, strict=True)]


@register_operation("unstack")
def lower_unstack(g: Builder, operation: keras.Operation, x: Tensor) -> list[Tensor]:
    """The elements of an axis as separate tensors."""
    x, axis = g.keras_layout(x), operation.axis % x.rank
    return [
        g.tensor(g.op("Gather", x.value, np.array(index, np.int64), axis=axis), shape)
        for index, shape in enumerate(g.output_shapes)
    ]


@register_lowering(layers.RepeatVector)
def lower_repeat_vector(g: Builder, layer: keras.layers.RepeatVector, x: Tensor) -> Tensor:
    """(N, C) repeated to (N, n, C)."""
    value = g.op("Unsqueeze", x.value, as_int64(1))
    return g.result(g.op("Tile", value, as_int64(1, layer.n, 1)))


@register_operation("tile")
def lower_tile(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The whole tensor repeated along axes."""
    x, rank = g.keras_layout(x), len(g.output_shapes[0])
    repeats = [operation.repeats] if isinstance(operation.repeats, int) else list(operation.repeats)
    value = x.value
    if rank > x.rank:
        value = g.op("Unsqueeze", value, as_int64(*range(rank - x.rank)))
    return g.result(g.op("Tile", value, as_int64(*[1] * (rank - len(repeats)), *repeats)))


@register_operation("repeat")
def lower_repeat(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Each element of an axis repeated."""
    if not isinstance(operation.repeats, int) or operation.axis is None:
        raise Unsupported("a repeat without an axis, or by several numbers")
    axis = operation.axis % x.rank
    size = x.shape[axis]
    if size is None:
        raise Unsupported("a repeat along a dynamic dimension")
    indices = g.constant(np.repeat(np.arange(size, dtype=np.int64), operation.repeats))
    return g.result(g.op("Gather", x.value, indices, axis=g.axis(x, axis)), x)
