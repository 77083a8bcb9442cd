"""A tensor split into several."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.lowerings.operands import as_int64
from export.lowerings.registry import register_operation
from export.lowerings.sizes import TO_THE_END, size_of


def split(g: Builder, x: Tensor, axis: int, sections: int | Sequence[int]) -> list[Tensor]:
    """Equal parts of an axis, or the parts between indices."""
    sizes = [shape[axis] for shape in g.output_shapes]
    known = [size for size in sizes if size is not None]
    if len(sizes) == 1:
        return [x]
    if len(known) == len(sizes):
        return _parts(g, x, axis, as_int64(*known))
    if isinstance(sections, int):
        number = sections if g.opset >= 18 else None  # before, a Split without sizes had no such attribute
        values = g.op("Split", x.value, axis=g.axis(x, axis), outputs=sections, num_outputs=number)
        return _tensors(g, x, values)
    starts, ends = [0, *map(int, sections)], [*map(int, sections), TO_THE_END]
    values = [
        g.op("Slice", x.value, as_int64(start), as_int64(end), as_int64(g.axis(x, axis)))
        for start, end in zip(starts, ends, strict=True)
    ]
    return _tensors(g, x, values)


def _parts(g: Builder, x: Tensor, axis: int, sizes: ir.Value | np.ndarray) -> list[Tensor]:
    number = len(g.output_shapes)
    return _tensors(g, x, g.op("Split", x.value, sizes, axis=g.axis(x, axis), outputs=number))


def _tensors(g: Builder, x: Tensor, values: Sequence[ir.Value]) -> list[Tensor]:
    return [g.like(x, value, shape) for value, shape in zip(values, g.output_shapes, strict=True)]


@register_operation("split")
def lower_split(g: Builder, operation: keras.Operation, x: Tensor) -> list[Tensor]:
    """Parts of an axis."""
    return split(g, x, operation.axis % x.rank, operation.indices_or_sections)


@register_operation("vsplit", optional=True)
def lower_vsplit(g: Builder, operation: keras.Operation, x: Tensor) -> list[Tensor]:
    """Parts of axis 0."""
    return split(g, x, 0, operation.indices_or_sections)


@register_operation("hsplit", optional=True)
def lower_hsplit(g: Builder, operation: keras.Operation, x: Tensor) -> list[Tensor]:
    """Parts of axis 1; of a vector, of axis 0."""
    return split(g, x, min(1, x.rank - 1), operation.indices_or_sections)


@register_operation("dsplit", optional=True)
def lower_dsplit(g: Builder, operation: keras.Operation, x: Tensor) -> list[Tensor]:
    """Parts of axis 2."""
    return split(g, x, 2, operation.indices_or_sections)


@register_operation("array_split", optional=True)
def lower_array_split(g: Builder, operation: keras.Operation, x: Tensor) -> list[Tensor]:
    """Parts of an axis whose sizes differ by one at most; the longer ones come first."""
    number, axis = operation.indices_or_sections, operation.axis % x.rank
    size = size_of(g, x, axis)
    if number == 1:
        return [x]
    if isinstance(size, int):
        return _parts(g, x, axis, as_int64(*(size // number + (i < size % number) for i in range(number))))
    is_longer = g.op("Less", as_int64(*range(number)), g.op("Mod", size, as_int64(number)))
    shorter = g.op("Div", size, as_int64(number))
    return _parts(g, x, axis, g.op("Add", shorter, g.op("Cast", is_longer, to=int(ir.DataType.INT64))))


@register_operation("unstack")
def lower_unstack(g: Builder, operation: keras.Operation, x: Tensor) -> list[Tensor]:
    """The elements of an axis as separate tensors."""
    x, axis = g.keras_layout(x), operation.axis % x.rank
    return [
        g.tensor(g.op("Gather", x.value, np.array(index, np.int64), axis=axis), shape)
        for index, shape in enumerate(g.output_shapes)
    ]
