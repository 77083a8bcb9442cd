"""Tensors joined into one."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.lowerings.operands import Argument, align, as_int64, as_value, rank
from export.lowerings.registry import register_lowering, register_operation
from export.lowerings.shape import ravel

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


@register_operation("append")
def lower_append(g: Builder, operation: keras.Operation, one: Argument, other: Argument) -> Tensor:
    """Two tensors joined along an axis; by default, their elements in a row."""
    if operation.axis is not None:
        return concatenate(g, [one, other], operation.axis)
    flat = [ravel(g, x) if isinstance(x, Tensor) else np.ravel(x) for x in (one, other)]
    return concatenate(g, flat, 0)


@register_operation("vstack")
def lower_vstack(g: Builder, operation: keras.Operation, tensors: Sequence[Argument]) -> Tensor:
    """Tensors joined along axis 0."""
    return concatenate(g, tensors, 0)


@register_operation("hstack")
def lower_hstack(g: Builder, operation: keras.Operation, tensors: Sequence[Argument]) -> Tensor:
    """Tensors joined along axis 1; vectors along axis 0."""
    return concatenate(g, tensors, min(1, rank(tensors[0]) - 1))


@register_operation("dstack", optional=True)
def lower_dstack(g: Builder, operation: keras.Operation, tensors: Sequence[Argument]) -> Tensor:
    """Tensors joined along axis 2; what has fewer axes gets it as numpy.dstack does."""
    if all(rank(x) > 2 for x in tensors):
        return concatenate(g, tensors, 2)
    new_axes = {0: (0, 1, 2), 1: (0, 2), 2: (2,)}
    values = [
        g.op("Unsqueeze", as_value(g, x, g.output_dtypes[0]), as_int64(*new_axes[rank(x)])) for x in tensors
    ]
    return g.result(g.op("Concat", *values, axis=2))
