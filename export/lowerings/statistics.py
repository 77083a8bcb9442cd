"""Averages, differences, distances and correlations."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops

from export.errors import Unsupported
from export.lowerings.composition import Symbol, as_float, composed
from export.lowerings.registry import register_operation


def average(operation: keras.Operation, x: Symbol, weights: Symbol | None = None) -> Symbol:
    """The weighted mean along an axis."""
    x, axis = as_float(x), operation.axis
    if weights is None:
        return ops.mean(x, axis=axis)
    weights = ops.cast(weights, x.dtype)
    if axis is None or len(weights.shape) == len(x.shape):
        return ops.sum(x * weights, axis=axis) / ops.sum(weights, axis=axis)
    shape = [1] * len(x.shape)
    shape[axis] = -1
    return ops.sum(x * ops.reshape(weights, shape), axis=axis) / ops.sum(weights)


def _neighbours(x: Symbol, axis: int) -> tuple[Symbol, Symbol]:
    """All elements of an axis but the first, and all but the last."""
    whole = [slice(None)] * (axis % len(x.shape))
    return x[tuple([*whole, slice(1, None)])], x[tuple([*whole, slice(None, -1)])]


def diff(operation: keras.Operation, x: Symbol) -> Symbol:
    """Differences of neighbours along an axis, n times."""
    for _ in range(operation.n):
        subtract = ops.not_equal if x.dtype == "bool" else ops.subtract
        x = subtract(*_neighbours(x, operation.axis))
    return x if operation.n else ops.copy(x)


def trapezoid(operation: keras.Operation, y: Symbol) -> Symbol:
    """The integral along an axis by the trapezoidal rule."""
    y, axis, dx = as_float(y), operation.axis % len(y.shape), operation.dx
    if operation.x is not None:
        x = ops.cast(operation.x, y.dtype)
        if len(x.shape) == 1:
            x = ops.reshape(x, [-1 if one == axis else 1 for one in range(len(y.shape))])
        dx = ops.subtract(*_neighbours(x, axis - len(y.shape)))
    return ops.sum(0.5 * ops.add(*_neighbours(y, axis)) * dx, axis=axis)


def corrcoef(operation: keras.Operation, x: Symbol) -> Symbol:
    """Pearson's correlation coefficients of the rows of a matrix."""
    if len(x.shape) != 2:
        raise Unsupported(f"correlation coefficients of a tensor of {len(x.shape)} axes, not 2")
    x = as_float(x)
    centered = x - ops.mean(x, axis=-1, keepdims=True)
    size = ops.sqrt(ops.sum(ops.square(centered), axis=-1, keepdims=True))
    products = ops.matmul(centered, ops.transpose(centered))
    return ops.clip(products / (size * ops.transpose(size)), -1.0, 1.0)


def cdist(operation: keras.Operation, x: Symbol, y: Symbol) -> Symbol:
    """Euclidean distances of each row of `x` to each row of `y`."""
    difference = ops.subtract(ops.expand_dims(x, -2), ops.expand_dims(y, -3))
    return ops.sqrt(ops.sum(ops.square(difference), axis=-1))


COMPOSED: dict[str, Callable[..., Symbol]] = {
    "average": average,
    "cdist": cdist,
    "corrcoef": corrcoef,
    "diff": diff,
    "trapezoid": trapezoid,
}
for _name, _function in COMPOSED.items():
    register_operation(_name, optional=True)(composed(_function))
