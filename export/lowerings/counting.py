"""Operations that count: how often numbers occur, and how many of them are smaller."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from export.builder import Builder, Tensor, is_float
from export.errors import Unsupported
from export.lowerings.composition import Symbol, composed
from export.lowerings.operands import as_array, as_int64, cast
from export.lowerings.registry import register_operation


@register_operation("bincount")
def lower_bincount(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """How often each number from 0 up occurs in the last axis, or the sum of the weights of its places."""
    if operation.sparse:
        raise Unsupported("a sparse bincount")
    if operation.weights is not None and isinstance(operation.weights, keras.KerasTensor):
        raise Unsupported("a bincount with computed weights")
    x, dtype = g.keras_layout(x), g.output_dtypes[0]
    numbers = cast(g, x, "int64")
    largest = g.reduce("ReduceMax", numbers, list(range(x.rank)), keepdims=False)
    size = g.op("Max", g.op("Add", largest, np.array(1, np.int64)), np.array(operation.minlength, np.int64))
    kind = "float32" if is_float(dtype) else "int64"  # of which onnxruntime has OneHot
    counts = g.op("OneHot", numbers, size, as_array([0, 1], kind), axis=-1)
    if operation.weights is not None:
        weights = g.op("Unsqueeze", g.constant(as_array(operation.weights, kind)), as_int64(-1))
        counts = g.op("Mul", counts, weights)
    total = g.reduce("ReduceSum", counts, [x.rank - 1], keepdims=False)
    return g.result(cast(g, g.tensor(total, g.output_shapes[0], dtype=kind), dtype))


def digitize(operation: keras.Operation, x: Symbol, bins: Symbol) -> Symbol:
    """How many edges of bins are not above a number; all of them for NaN."""
    edges = ops.cast(bins, "float32")
    below = ops.logical_not(ops.cast(x, "float32")[..., None] < edges)
    return ops.sum(ops.cast(below, "int32"), axis=-1)


def searchsorted(operation: keras.Operation, sequence: Symbol, values: Symbol, side: str = "left") -> Symbol:
    """How many numbers of a sequence are smaller than a value, or not larger if the side is 'right'."""
    side = getattr(operation, "side", side)  # an argument of the call in Keras 3.8
    compare: Any = ops.less if side == "left" else ops.less_equal
    return ops.sum(ops.cast(compare(sequence, ops.expand_dims(values, -1)), "int32"), axis=-1)


def isin(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """Whether a number is among those of `x2`."""
    found = ops.any(ops.equal(ops.expand_dims(x1, -1), ops.reshape(x2, (-1,))), axis=-1)
    return ops.logical_not(found) if operation.invert else found


register_operation("digitize")(composed(digitize))
register_operation("searchsorted")(composed(searchsorted))
register_operation("isin", optional=True)(composed(isin))
