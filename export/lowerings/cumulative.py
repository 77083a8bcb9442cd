"""Cumulative sums and products along an axis."""

from __future__ import annotations

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import arithmetic_dtype, as_array, as_int64, cast, from_arithmetic
from export.lowerings.registry import register_operation


@register_operation("cumsum")
def lower_cumsum(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The sum of each number and those before it; of all numbers in a row if there is no axis."""
    x, axis = _along(g, operation, x)
    value = g.op("CumSum", x.value, np.array(g.axis(x, axis), np.int64))
    return g.result(from_arithmetic(g, value, g.output_dtypes[0]), x)


@register_operation("cumprod")
def lower_cumprod(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The product of each number and those before it; of all numbers in a row if there is no axis.

    ONNX has no operator for it. After k steps, an element is the product of the 2^k numbers that end with it.
    """
    x, axis = _along(g, operation, x)
    size, axis = x.shape[axis], g.axis(x, axis)
    if size is None:
        raise Unsupported("a cumulative product along a dynamic dimension")
    value, one, distance = x.value, as_array(1, x.dtype), 1
    while distance < size:
        pads = np.zeros((2, x.rank), np.int64)
        pads[:, axis] = distance, -distance
        value = g.op("Mul", value, g.op("Pad", value, pads.reshape(-1), one))
        distance *= 2
    return g.result(from_arithmetic(g, value, g.output_dtypes[0]), x)


def _along(g: Builder, operation: keras.Operation, x: Tensor) -> tuple[Tensor, int]:
    """The numbers in the dtype to compute in, and the axis."""
    dtype = arithmetic_dtype(g.output_dtypes[0])
    if operation.axis is not None:
        return g.like(x, cast(g, x, dtype), dtype=dtype), operation.axis % x.rank
    x = g.keras_layout(x)
    return g.tensor(g.op("Reshape", cast(g, x, dtype), as_int64(-1)), g.output_shapes[0], dtype=dtype), 0
