"""What is computed with dynamic sizes while a layer's `call` is traced; see `export/dynamic_sizes.py`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export import size_operations
from export.builder import Builder, Tensor, onnx_dtype
from export.lowerings.indexing import get_item
from export.lowerings.operands import Argument, as_int64, as_tensor, as_value, rank
from export.lowerings.padding import pad
from export.lowerings.registry import register_lowering
from export.lowerings.sizes import Size, as_size, reshape_to, scalar_of, size_of, size_vector

Given = Sequence[Tensor | int]


def _sizes(g: Builder, given: Given) -> list[Size]:
    return [as_size(g, size) for size in given]


@register_lowering(size_operations.SizeOf, any_layout=True)
def lower_size_of(g: Builder, operation: size_operations.SizeOf, x: Tensor) -> Tensor:
    """The size of an axis."""
    return g.result(scalar_of(g, size_of(g, x, operation.axis)))


@register_lowering(size_operations.Reshape)
def lower_reshape(g: Builder, operation: size_operations.Reshape, x: Argument, sizes: Given) -> Tensor:
    """Another shape."""
    return g.result(reshape_to(g, as_value(g, x, g.output_dtypes[0]), _sizes(g, sizes)))


@register_lowering(size_operations.BroadcastTo)
def lower_broadcast_to(
    g: Builder, operation: size_operations.BroadcastTo, x: Argument, sizes: Given
) -> Tensor:
    """Axes of size 1 repeated."""
    value = as_value(g, x, g.output_dtypes[0])
    return g.result(g.op("Expand", value, size_vector(g, _sizes(g, sizes))))


@register_lowering(size_operations.Tile)
def lower_tile(g: Builder, operation: size_operations.Tile, x: Argument, repeats: Given) -> Tensor:
    """The whole tensor repeated."""
    value = as_value(g, x, g.output_dtypes[0])
    if len(repeats) > rank(x):
        value = g.op("Unsqueeze", value, as_int64(*range(len(repeats) - rank(x))))
    return g.result(g.op("Tile", value, size_vector(g, _sizes(g, repeats))))


@register_lowering(size_operations.Arange)
def lower_arange(g: Builder, operation: size_operations.Arange, *bounds: Argument) -> Tensor:
    """The numbers from start to stop."""
    return g.result(g.op("Range", *(as_value(g, x, g.output_dtypes[0]) for x in bounds)))


@register_lowering(size_operations.GetItem)
def lower_get_item(
    g: Builder, operation: size_operations.GetItem, x: Argument, key: Sequence[Tensor | tuple | int | None]
) -> Tensor:
    """x[key]."""
    x = as_tensor(g, x, g.output_dtypes[0])
    return get_item(g, x, [slice(*one) if isinstance(one, (tuple, list)) else one for one in key])


@register_lowering(size_operations.Pad)
def lower_pad(
    g: Builder, operation: size_operations.Pad, x: Tensor, before: Given, after: Given, value: Argument
) -> Tensor:
    """Axes made longer at both ends."""
    pairs = list(zip(_sizes(g, before), _sizes(g, after), strict=True))
    return pad(g, x, pairs, operation.mode, value)


@register_lowering(size_operations.Select)
def lower_select(
    g: Builder, operation: size_operations.Select, condition: Argument, x: Argument, other: Argument
) -> Tensor:
    """x if the condition is true, the other tensor if not."""
    dtype = g.output_dtypes[0]
    branches = [g.branch(as_value(g, one, dtype), onnx_dtype(dtype)) for one in (x, other)]
    holds = as_value(g, condition, "bool")
    if rank(condition):
        holds = g.op("Reshape", holds, np.array([], np.int64))
    return g.result(g.op("If", holds, then_branch=branches[0], else_branch=branches[1]))
