"""Determinants, factorizations and linear systems of small matrices.

ONNX has an operator for the determinant alone. The others are written out row by row, or column by column, for matrices
of a known size of at most `LARGEST`; all matrices of a batch are treated at once.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.composition import Symbol, composed
from export.lowerings.registry import register_operation

LARGEST = 8


@register_operation("det")
def lower_det(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The determinant."""
    return g.result(g.op("Det", g.keras_layout(x).value))


def _size(x: Symbol) -> int:
    """The number of rows of square matrices."""
    rows, columns = x.shape[-2:]
    if rows is None or rows != columns or rows > LARGEST:
        raise Unsupported(f"matrices of {rows} x {columns} numbers, not square and of at most {LARGEST} rows")
    return rows


def cholesky(x: Symbol) -> Symbol:
    """The lower triangle L of x = L L^T, column by column."""
    size, lower = _size(x), None
    for j in range(size):
        column = x[..., j:, j]
        if lower is not None:
            column = column - ops.matmul(lower[..., j:, :], lower[..., j, :][..., None])[..., 0]
        column = column / ops.sqrt(column[..., :1])
        padding = [[0, 0]] * (len(x.shape) - 2) + [[j, 0]]
        column = ops.pad(column, padding)[..., None]
        lower = column if lower is None else ops.concatenate([lower, column], axis=-1)
    return lower


def solve_triangular(a: Symbol, b: Symbol, lower: bool) -> Symbol:
    """The solution x of a x = b for a triangle a, row by row."""
    size, solved = _size(a), None
    for step in range(size):
        i = step if lower else size - 1 - step
        row = b[..., i : i + 1, :]
        if solved is not None:
            known = a[..., i : i + 1, :i] if lower else a[..., i : i + 1, i + 1 :]
            row = row - ops.matmul(known, solved)
        row = row / a[..., i : i + 1, i : i + 1]
        if solved is not None:
            row = ops.concatenate([solved, row] if lower else [row, solved], axis=-2)
        solved = row
    return solved


def solve(a: Symbol, b: Symbol) -> Symbol:
    """The solution x of a x = b by Gauss-Jordan elimination with partial pivoting."""
    size = _size(a)
    numbers = np.arange(size, dtype="int32")
    rows = ops.concatenate([a, b], axis=-1)
    for k in range(size):
        # The row with the largest number in column k, among those that are left, takes the place of row k.
        sizes = ops.where(numbers < k, -1.0, ops.abs(rows[..., k]))
        is_pivot = ops.equal(ops.argmax(sizes, axis=-1)[..., None], numbers)[..., None]
        pivot = ops.sum(ops.where(is_pivot, rows, 0.0), axis=-2, keepdims=True)
        rows = ops.where(is_pivot, rows[..., k : k + 1, :], rows)
        pivot = pivot / pivot[..., k : k + 1]
        rows = ops.where((numbers == k)[:, None], pivot, rows - rows[..., k : k + 1] * pivot)
    return rows[..., size:]


def _with_columns(function: Callable[[Symbol, Symbol], Symbol], a: Symbol, b: Symbol) -> Symbol:
    """A solution for a right-hand side that may be a vector instead of a matrix."""
    if len(b.shape) == len(a.shape) - 1:
        return function(a, b[..., None])[..., 0]
    return function(a, b)


def _identity_like(x: Symbol) -> Symbol:
    """Identity matrices in the shape of `x`."""
    return ops.zeros_like(x) + np.eye(_size(x), dtype="float32")


def _transposed(x: Symbol) -> Symbol:
    return ops.swapaxes(x, -1, -2)


def cholesky_inverse(operation: keras.Operation, x: Symbol) -> Symbol:
    """The inverse of the matrix that a triangle is the Cholesky factor of."""
    inverse = solve_triangular(x, _identity_like(x), not operation.upper)
    if operation.upper:
        return ops.matmul(inverse, _transposed(inverse))
    return ops.matmul(_transposed(inverse), inverse)


def lower_solve_triangular(operation: keras.Operation, a: Symbol, b: Symbol) -> Symbol:
    """keras.ops.solve_triangular."""
    return _with_columns(lambda a, b: solve_triangular(a, b, operation.lower), a, b)


def slogdet(operation: keras.Operation, x: Symbol) -> tuple[Symbol, Symbol]:
    """The sign of the determinant, and the logarithm of its size."""
    _size(x)  # determinants of larger matrices may overflow
    if len(x.shape) > 2:
        raise Unsupported("slogdet of several matrices, for which Keras states the shape of one")
    determinant = ops.det(x)
    return ops.sign(determinant), ops.log(ops.abs(determinant))


def logdet(operation: keras.Operation, x: Symbol) -> Symbol:
    """The logarithm of the determinant of a positive definite matrix."""
    return 2.0 * ops.sum(ops.log(ops.diagonal(cholesky(x), axis1=-2, axis2=-1)), axis=-1)


def _cholesky(operation: keras.Operation, x: Symbol) -> Symbol:
    upper = getattr(operation, "upper", False)  # since Keras 3.13
    return _transposed(cholesky(x)) if upper else cholesky(x)


COMPOSED: dict[str, Callable[..., Symbol]] = {
    "cholesky": _cholesky,
    "cholesky_inverse": cholesky_inverse,
    "inv": lambda operation, x: solve(x, _identity_like(x)),
    "logdet": logdet,
    "slogdet": slogdet,
    "solve": lambda operation, a, b: _with_columns(solve, a, b),
    "solve_triangular": lower_solve_triangular,
}
for _name, _function in COMPOSED.items():
    register_operation(_name, optional=True)(composed(_function))
