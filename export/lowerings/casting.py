"""Casts from one dtype to another."""

from __future__ import annotations

import keras
import ml_dtypes
import numpy as np
from keras import ops

from export.builder import Builder, Tensor, is_float
from export.errors import Unsupported
from export.lowerings.composition import Symbol, composed
from export.lowerings.operands import arithmetic_dtype, cast, from_arithmetic
from export.lowerings.registry import register_operation


@register_operation("cast", "convert_to_tensor")
@register_operation("array", optional=True)
def lower_cast(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """`x` in another dtype. Integers wrap around where the new dtype has fewer bits."""
    dtype = g.output_dtypes[0]
    if dtype == x.dtype or is_float(dtype) or dtype == "bool":
        return g.like(x, cast(g, x, dtype), dtype=dtype)
    return g.like(x, from_arithmetic(g, cast(g, x, arithmetic_dtype(dtype)), dtype), dtype=dtype)


@register_operation("view", optional=True)
def lower_view(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The bits of `x` read as another dtype, where that is a cast: integers with as many bits."""
    dtype = g.output_dtypes[0]
    is_cast = "int" in dtype and "int" in x.dtype and np.dtype(dtype).itemsize == np.dtype(x.dtype).itemsize
    if dtype != x.dtype and not is_cast:
        raise Unsupported(f"a view of {x.dtype} as {dtype}; ONNX can't reinterpret bits")
    return lower_cast(g, operation, x)


def range_of(dtype: str) -> tuple[float, float]:
    """The lowest and the highest number of a dtype."""
    if dtype == "bool":
        return 0, 1
    info = ml_dtypes.iinfo(dtype) if "int" in dtype else ml_dtypes.finfo(dtype)
    number = int if "int" in dtype else float
    return number(info.min), number(info.max)


def saturate_cast(operation: keras.Operation, x: Symbol) -> Symbol:
    """`x` in another dtype, clipped to the numbers that both dtypes have."""
    (low, high), (lowest, highest) = range_of(x.dtype), range_of(operation.dtype)
    low, high = max(low, lowest), min(high, highest)
    if "float" in x.dtype and np.float32(high) > high:  # compared exactly: float32 rounded up
        high = np.nextafter(np.float32(high), np.float32(0))
    return ops.cast(ops.clip(x, low, high), operation.dtype)


register_operation("saturate_cast")(composed(saturate_cast))
