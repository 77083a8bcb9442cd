"""Reductions and cumulative sums that leave NaN out."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
from keras import ops

from export.lowerings.composition import Symbol, composed
from export.lowerings.registry import register_operation

# Each function receives an operation with `axis` and `keepdims`, and a tensor. Integers have no NaN.
Reduction = Callable[[keras.Operation, Symbol], Symbol]


def _without_nan(x: Symbol, value: float) -> Symbol:
    return ops.where(ops.isnan(x), value, x) if "float" in x.dtype else x


def _count(operation: keras.Operation, x: Symbol) -> Symbol:
    valid = ops.cast(ops.logical_not(ops.isnan(x)), keras.backend.result_type(x.dtype, float))
    return ops.sum(valid, axis=operation.axis, keepdims=operation.keepdims)


def _reduction(function: Callable[..., Symbol], value: float) -> Reduction:
    """A reduction in which NaN counts as `value`."""
    return lambda operation, x: function(
        _without_nan(x, value), axis=operation.axis, keepdims=operation.keepdims
    )


def _with_nothing(function: Callable[..., Symbol], value: float, nothing: float) -> Reduction:
    """A reduction in which NaN counts as `value`, and that is `nothing` where all numbers are NaN."""
    reduce = _reduction(function, value)

    def lower(operation: keras.Operation, x: Symbol) -> Symbol:
        if "float" not in x.dtype:
            return reduce(operation, x)
        empty = ops.all(ops.isnan(x), axis=operation.axis, keepdims=operation.keepdims)
        return ops.where(empty, nothing, reduce(operation, x))

    return lower


nansum = _reduction(ops.sum, 0.0)


def nanmean(operation: keras.Operation, x: Symbol) -> Symbol:
    """The mean of the numbers that are not NaN."""
    return ops.divide(nansum(operation, x), _count(operation, x))


def nanvar(operation: keras.Operation, x: Symbol) -> Symbol:
    """The variance of the numbers that are not NaN."""
    valid = ops.logical_not(ops.isnan(x))
    total = ops.sum(_without_nan(x, 0.0), axis=operation.axis, keepdims=True)
    mean = ops.divide(total, ops.sum(ops.cast(valid, total.dtype), axis=operation.axis, keepdims=True))
    squares = ops.where(valid, ops.square(ops.subtract(x, mean)), 0.0)
    return ops.divide(
        ops.sum(squares, axis=operation.axis, keepdims=operation.keepdims), _count(operation, x)
    )


def nancumsum(operation: keras.Operation, x: Symbol) -> Symbol:
    """The cumulative sum; NaN counts as 0, and infinities as the largest numbers."""
    return ops.cumsum(ops.nan_to_num(x), axis=operation.axis, dtype=operation.dtype)


def nancumprod(operation: keras.Operation, x: Symbol) -> Symbol:
    """The cumulative product; NaN counts as 1, and infinities as the largest numbers."""
    return ops.cumprod(ops.nan_to_num(x, nan=1.0), axis=operation.axis, dtype=operation.dtype)


COMPOSED: dict[str, Reduction] = {
    "nanargmax": _with_nothing(ops.argmax, -math.inf, -1),
    "nanargmin": _with_nothing(ops.argmin, math.inf, -1),
    "nancumprod": nancumprod,
    "nancumsum": nancumsum,
    "nanmax": _with_nothing(ops.max, -math.inf, math.nan),
    "nanmean": nanmean,
    "nanmin": _with_nothing(ops.min, math.inf, math.nan),
    "nanprod": _reduction(ops.prod, 1.0),
    "nanstd": lambda operation, x: ops.sqrt(nanvar(operation, x)),
    "nansum": nansum,
    "nanvar": nanvar,
}
for _name, _function in COMPOSED.items():
    register_operation(_name, optional=True)(composed(_function))
