"""Values written to positions of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.indexing import Index, start_sizes
from export.lowerings.operands import Argument, as_array, as_int64, as_tensor, as_value, cast
from export.lowerings.registry import register_operation
from export.lowerings.sizes import TO_THE_END, Size, add_sizes, size_of, size_vector, subtract_sizes


def positions(g: Builder, indices: Argument) -> ir.Value:
    """Indices as int64."""
    if isinstance(indices, Tensor):
        return cast(g, g.keras_layout(indices), "int64")
    return g.constant(np.asarray(indices, np.int64))


def scatter(
    g: Builder, data: ir.Value, indices: ir.Value, updates: ir.Value, reduction: str | None
) -> ir.Value:
    """A copy of `data` with values written to positions, or combined with what is there."""
    if reduction in ("max", "min"):
        g.require(18, f"ScatterND with reduction={reduction!r}")
    elif reduction is not None:
        g.require(16, f"ScatterND with reduction={reduction!r}")
    return g.op("ScatterND", data, indices, updates, reduction=reduction)


@register_operation("scatter")
def lower_scatter(g: Builder, operation: Any, indices: Argument, values: Argument) -> Tensor:
    """Values added up at positions of a tensor of zeros."""
    dtype, shape = g.output_dtypes[0], operation.shape
    if isinstance(shape, Tensor) or not all(isinstance(size, (int, np.integer)) for size in shape):
        raise Unsupported("a scatter to a computed shape")
    zeros = g.op("Expand", as_array([0], dtype), as_int64(*map(int, shape)))
    return g.result(scatter(g, zeros, positions(g, indices), as_value(g, values, dtype), "add"))


@register_operation("scatter_update")
def lower_scatter_update(
    g: Builder, operation: Any, inputs: Argument, indices: Argument, updates: Argument
) -> Tensor:
    """Values written to positions of a tensor, or combined with what is there."""
    data, values = (as_value(g, x, g.output_dtypes[0]) for x in (inputs, updates))
    reduction = getattr(operation, "reduction", None)
    return g.result(scatter(g, data, positions(g, indices), values, reduction))


@register_operation("slice_update")
def lower_slice_update(
    g: Builder, operation: Any, inputs: Argument, start_indices: Argument | Sequence[Index], updates: Argument
) -> Tensor:
    """A block of a tensor replaced. A block that would reach beyond the end is moved back, as XLA does."""
    x, block = (as_tensor(g, one, g.output_dtypes[0]) for one in (inputs, updates))
    starts, places = start_sizes(g, start_indices, x.rank), []
    for axis, start in enumerate(starts):
        size, length = size_of(g, x, axis), size_of(g, block, axis)
        if isinstance(size, int) and size == length:
            continue
        places.append((axis, _clamped(g, start, subtract_sizes(g, size, length)), length))
    return g.result(_replace(g, x.value, block.value, places))


def _replace(g: Builder, x: ir.Value, block: ir.Value, places: Sequence[tuple[int, Size, Size]]) -> ir.Value:
    """`x` with a block that is shorter along some axes: (axis, start, length) for each."""
    if not places:
        return block
    axis, start, length = places[0]
    end = add_sizes(g, start, length)

    def part(start: Size, end: Size) -> ir.Value:
        return g.op("Slice", x, size_vector(g, [start]), size_vector(g, [end]), as_int64(axis))

    inner = block if len(places) == 1 else _replace(g, part(start, end), block, places[1:])
    return g.op("Concat", part(0, start), inner, part(end, TO_THE_END), axis=axis)


def _clamped(g: Builder, start: Size, last: Size) -> Size:
    """A start between 0 and the last one."""
    if isinstance(start, int) and isinstance(last, int):
        return max(0, min(start, last))
    at_most = g.op("Min", size_vector(g, [start]), size_vector(g, [last]))
    return g.op("Max", at_most, as_int64(0))
