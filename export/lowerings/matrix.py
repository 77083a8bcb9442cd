"""Diagonals and triangles of matrices, and matrices of powers."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from export.builder import Builder, Tensor, is_float
from export.errors import Unsupported
from export.lowerings.composition import Symbol, composed
from export.lowerings.operands import arithmetic_dtype, as_int64, as_value, cast, from_arithmetic
from export.lowerings.registry import LoweringFunction, register_operation


@register_operation("diagonal")
def lower_diagonal(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """A diagonal of the matrices along two axes, as the last axis."""
    return diagonal(g, x, operation.offset, operation.axis1, operation.axis2)


def diagonal(g: Builder, x: Tensor, offset: int, axis1: int, axis2: int) -> Tensor:
    """The call's output: a diagonal of the matrices along two axes."""
    x, axes = g.keras_layout(x), (axis1 % x.rank, axis2 % x.rank)
    rows, columns = (x.shape[axis] for axis in axes)
    if rows is None or columns is None:
        raise Unsupported("a diagonal of matrices of dynamic size")
    others = [axis for axis in range(x.rank) if axis not in axes]
    matrices = g.transpose(x.value, x.shape, [*others, *axes])
    flat = g.op("Reshape", matrices, as_int64(*[0] * len(others), rows * columns))
    positions = np.arange(rows * columns, dtype=np.int64).reshape(rows, columns)
    return g.result(g.op("Gather", flat, np.diagonal(positions, offset), axis=len(others)))


def trace(operation: keras.Operation, x: Symbol) -> Symbol:
    """The sum of a diagonal."""
    return ops.sum(ops.diagonal(x, operation.offset, operation.axis1, operation.axis2), axis=-1)


register_operation("trace")(composed(trace))


@register_operation("diag")
def lower_diag(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """A matrix with the numbers of a vector on a diagonal, or a diagonal of a matrix."""
    return diagonal(g, x, operation.k, 0, 1) if x.rank == 2 else _with_diagonal(g, x, operation.k)


@register_operation("diagflat")
def lower_diagflat(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """A matrix with all numbers of a tensor on a diagonal."""
    return _with_diagonal(g, x, operation.k)


def _with_diagonal(g: Builder, x: Tensor, k: int) -> Tensor:
    dtype = g.output_dtypes[0]
    numbers = g.op("Reshape", as_value(g, x, arithmetic_dtype(dtype)), as_int64(-1))
    row = g.op("Pad", numbers, as_int64(max(k, 0), max(-k, 0)))  # column j holds the number of row j - k
    one, size = np.array(1, np.int64), g.op("Squeeze", g.op("Shape", row))
    columns = g.op("Range", np.array(0, np.int64), size, one)
    rows = g.op("Unsqueeze", g.op("Add", columns, np.array(k, np.int64)), as_int64(-1))
    zero = as_value(g, 0, arithmetic_dtype(dtype))
    value = g.op("Where", g.op("Equal", columns, rows), row, zero)
    return g.result(from_arithmetic(g, value, dtype))


def _triangle(upper: int) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        if not isinstance(operation.k, (int, np.integer)):
            raise Unsupported("a triangle from a computed diagonal on")
        g.require(14, "Trilu")
        x = g.keras_layout(x)
        kind = "float32" if is_float(x.dtype) else "int64"
        value = g.op("Trilu", cast(g, x, kind), np.array(operation.k, np.int64), upper=upper)
        return g.result(cast(g, g.tensor(value, x.shape, dtype=kind), x.dtype))

    return lower


register_operation("tril")(_triangle(upper=0))
register_operation("triu")(_triangle(upper=1))


def vander(operation: keras.Operation, x: Symbol) -> Symbol:
    """The powers of each number of a vector."""
    count = x.shape[0] if operation.N is None else operation.N
    if count is None:
        raise Unsupported("a Vandermonde matrix of dynamic size")
    powers = np.arange(count, dtype="float32")
    numbers = ops.expand_dims(ops.cast(x, keras.backend.result_type(x.dtype, "float32")), -1)
    return ops.power(numbers, powers if operation.increasing else powers[::-1].copy())


register_operation("vander", optional=True)(composed(vander))
