"""Sizes that are known only when the graph runs: they are computed there, as int64 vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from export.builder import Builder, Operand, Tensor
from export.lowerings.operands import as_int64

# The end of a Slice, whatever the size.
TO_THE_END = np.iinfo(np.int64).max

# A size: a number, or an int64 vector that holds a single one.
Size = int | ir.Value


def size_of(g: Builder, x: Tensor, axis: int) -> Size:
    """The size of a Keras axis."""
    axis = axis % x.rank
    known = x.shape[axis]
    return _dimension(g, x.value, g.axis(x, axis)) if known is None else known


def sizes_of(g: Builder, x: Tensor) -> list[Size]:
    """The size of each Keras axis."""
    return [size_of(g, x, axis) for axis in range(x.rank)]


def _dimension(g: Builder, value: ir.Value, axis: int) -> ir.Value:
    if g.opset >= 15:
        return g.op("Shape", value, start=axis, end=axis + 1)
    return g.op("Gather", g.op("Shape", value), as_int64(axis))


def size_vector(g: Builder, sizes: Sequence[Size]) -> Operand:
    """Several sizes as one int64 vector."""
    if all(isinstance(size, int) for size in sizes):
        return as_int64(*sizes)  # type: ignore[arg-type]
    values = [as_int64(size) if isinstance(size, int) else size for size in sizes]
    return values[0] if len(values) == 1 else g.op("Concat", *values, axis=0)


def as_size(g: Builder, x: Tensor | int) -> Size:
    """A scalar integer tensor, or a number, as a size."""
    if not isinstance(x, Tensor):
        return int(x)
    return _source_of_scalar(x.value) or g.op(
        "Reshape", g.op("Cast", x.value, to=int(ir.DataType.INT64)), as_int64(1)
    )


def scalar_of(g: Builder, size: Size) -> ir.Value:
    """A size as an int32 scalar, which is what `ops.shape` returns. The inverse of `as_size`."""
    vector = g.constant(as_int64(size)) if isinstance(size, int) else size
    return g.op("Squeeze", g.op("Cast", vector, to=int(ir.DataType.INT32)), as_int64(0))


def _source_of_scalar(value: ir.Value) -> ir.Value | None:
    """The vector that `scalar_of` made a value of."""
    for expected in ("Squeeze", "Cast"):
        node = value.producer()
        if node is None or node.op_type != expected or node.inputs[0] is None:
            return None
        value = node.inputs[0]
    shape = value.producer()
    return value if shape is not None and shape.op_type in ("Shape", "Gather") else None


def reshape_to(g: Builder, value: ir.Value, sizes: Sequence[Size]) -> ir.Value:
    """Reshape to sizes. One of them may be -1; 0 copies the size at the same position."""
    unknown = [position for position, size in enumerate(sizes) if not isinstance(size, int)]
    if len(unknown) == 1 and -1 not in sizes:  # it follows from the others
        sizes = [size if isinstance(size, int) else -1 for size in sizes]
    return g.op("Reshape", value, size_vector(g, sizes))


def add_sizes(g: Builder, one: Size, other: Size) -> Size:
    """The sum of two sizes."""
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return g.op("Add", _vector(one), _vector(other))


def subtract_sizes(g: Builder, one: Size, other: Size) -> Size:
    """The difference of two sizes."""
    if isinstance(one, int) and isinstance(other, int):
        return one - other
    return g.op("Sub", _vector(one), _vector(other))


def count_to(g: Builder, size: Size) -> ir.Value:
    """The int64 numbers from 0 on, below a size."""
    if isinstance(size, int):
        return g.constant(np.arange(size))
    return g.op("Range", np.array(0), g.op("Squeeze", size, as_int64(0)), np.array(1))


def product(g: Builder, *sizes: Size) -> Size:
    """The product of sizes."""
    number = int(np.prod([size for size in sizes if isinstance(size, int)]))
    values = [size for size in sizes if not isinstance(size, int)]
    result: Size = number
    for value in values:
        result = value if isinstance(result, int) and result == 1 else g.op("Mul", value, _vector(result))
    return result


def _vector(size: Size) -> Operand:
    return as_int64(size) if isinstance(size, int) else size
