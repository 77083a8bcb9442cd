"""Reshapes and transposes: the values stay the same and in the same number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.dynamic_sizes import rearrange
from export.errors import Unsupported
from export.lowerings.operands import as_int64, normalize_axes
from export.lowerings.registry import register_lowering, register_operation
from export.lowerings.sizes import product, scalar_of, sizes_of

layers = keras.layers


def reshape(g: Builder, x: Tensor) -> Tensor:
    """`x` in the shape of the call's output, the order of the elements kept."""
    return g.result(g.reshape(g.keras_layout(x).value, g.output_shapes[0]))


def transpose(g: Builder, x: Tensor, order: Sequence[int]) -> Tensor:
    """`x` with its axes in another order."""
    x = g.keras_layout(x)
    return g.result(g.transpose(x.value, x.shape, order))


@register_operation("ravel")
def lower_ravel(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """All elements in a row."""
    return ravel(g, x)


def ravel(g: Builder, x: Tensor) -> Tensor:
    """The elements of `x` in Keras' order, in a row."""
    number = None if None in x.shape else math.prod(x.shape)  # type: ignore[arg-type]
    return g.tensor(g.op("Reshape", g.keras_layout(x).value, as_int64(-1)), (number,), dtype=x.dtype)


@register_lowering(layers.Flatten)
def lower_flatten(g: Builder, layer: keras.layers.Flatten, x: Tensor) -> Tensor:
    """All axes but the batch as one, with the channels last."""
    if x.rank == 2:
        return x
    value = x.value
    if x.rank > 2 and layer.data_format == "channels_first":
        value = g.transpose(value, x.shape, [0, *range(2, x.rank), 1])
    return g.result(g.reshape(value, g.output_shapes[0]))


@register_lowering(layers.Reshape)
def lower_reshape_layer(g: Builder, layer: keras.layers.Reshape, x: Tensor) -> Tensor:
    """Another shape."""
    return reshape(g, x)


@register_operation("reshape")
def lower_reshape(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """keras.ops.reshape to a known shape."""
    if isinstance(getattr(operation, "newshape", None), Tensor):
        raise Unsupported("a reshape to a computed shape")
    return reshape(g, x)


@register_lowering(layers.Permute)
def lower_permute(g: Builder, layer: keras.layers.Permute, x: Tensor) -> Tensor:
    """Axes in another order."""
    return transpose(g, x, [0, *layer.dims])


@register_operation("transpose")
def lower_transpose(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Axes in another order; reversed by default."""
    axes = operation.axes if operation.axes is not None else range(x.rank)[::-1]
    return transpose(g, x, [axis % x.rank for axis in axes])


@register_operation("moveaxis")
def lower_moveaxis(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Some axes moved to other positions."""
    numbered = np.empty(range(1, x.rank + 1))  # an array whose sizes are its axes, counted from 1
    order = np.moveaxis(numbered, operation.source, operation.destination).shape
    return transpose(g, x, [size - 1 for size in order])


@register_operation("swapaxes")
def lower_swapaxes(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Two axes swapped."""
    order = list(range(x.rank))
    first, second = operation.axis1 % x.rank, operation.axis2 % x.rank
    order[first], order[second] = second, first
    return transpose(g, x, order)


@register_operation("expand_dims")
def lower_expand_dims(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """New axes of size 1."""
    axes = normalize_axes(operation.axis, len(g.output_shapes[0]))
    return g.result(g.op("Unsqueeze", g.keras_layout(x).value, as_int64(*axes)))


@register_operation("squeeze")
def lower_squeeze(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Without axes of size 1; by default, without all of them."""
    ones = [axis for axis, size in enumerate(x.shape) if size == 1]
    axes = ones if operation.axis is None else normalize_axes(operation.axis, x.rank)
    return g.result(g.op("Squeeze", g.keras_layout(x).value, as_int64(*axes)))


@register_operation("rearrange", optional=True)
def lower_rearrange(
    g: Builder, operation: keras.Operation, x: Tensor, pattern: str, **axes_lengths: int
) -> Tensor:
    """Axes split, moved and merged."""
    return g.lower(rearrange, x, pattern, **axes_lengths)


@register_operation("size")
def lower_size(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The number of elements."""
    return g.result(scalar_of(g, product(g, *sizes_of(g, x))))
