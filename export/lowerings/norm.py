"""Norms of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from export.errors import Unsupported
from export.lowerings.composition import Symbol, as_float, composed
from export.lowerings.registry import register_operation


def norm(operation: keras.Operation, x: Symbol) -> Symbol:
    """The norm of vectors along an axis, or of matrices along two."""
    order, keepdims = operation.ord, operation.keepdims
    x = as_float(x)
    axes = range(len(x.shape)) if operation.axis is None else operation.axis
    axes = [axes] if isinstance(axes, int) else list(axes)
    axes = [axis % len(x.shape) for axis in axes]
    if order is None or (len(axes) == 1 and order == 2) or order == "fro":
        return ops.sqrt(ops.sum(ops.square(x), axis=axes, keepdims=keepdims))
    if len(axes) == 1:
        return _vector_norm(x, order, axes[0], keepdims)
    if order not in (1, -1, math.inf, -math.inf):
        raise Unsupported(f"a matrix norm of order {order!r}, which needs singular values")
    # The largest or smallest sum along one of both axes: 1 means the rows, infinity the columns.
    summed, ranked = axes if abs(order) == 1 else axes[::-1]
    extreme: Any = ops.max if order > 0 else ops.min
    result = extreme(ops.sum(ops.abs(x), axis=summed, keepdims=True), axis=ranked, keepdims=True)
    return result if keepdims else ops.squeeze(result, axis=tuple(axes))


def _vector_norm(x: Symbol, order: float, axis: int, keepdims: bool) -> Symbol:
    sizes = ops.abs(x)
    if order == math.inf:
        return ops.max(sizes, axis=axis, keepdims=keepdims)
    if order == -math.inf:
        return ops.min(sizes, axis=axis, keepdims=keepdims)
    if order == 0:
        return ops.sum(ops.cast(ops.not_equal(x, 0), x.dtype), axis=axis, keepdims=keepdims)
    if order == 1:
        return ops.sum(sizes, axis=axis, keepdims=keepdims)
    return ops.power(ops.sum(ops.power(sizes, float(order)), axis=axis, keepdims=keepdims), 1 / order)


register_operation("norm")(composed(norm))
