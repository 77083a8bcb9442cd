"""Bitwise operations on integers.

ONNX has operators for them since opset 18. Before, they are computed from the bits of a number, along a further axis.
A shift by n bits is a product with 2^n, or a quotient rounded down.
"""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.elementwise import elementwise
from export.lowerings.operands import Argument, align, arithmetic_dtype, as_int64, cast, from_arithmetic
from export.lowerings.registry import LoweringFunction, register_operation

BITWISE_OPSET = 18
HIGHEST_SHIFT = {"int8": 7, "uint8": 7, "int16": 15, "uint16": 15, "int32": 31, "uint32": 31, "int64": 63}


POWERS = 2 ** np.arange(32, dtype=np.int64)


def _bits(g: Builder, value: ir.Value) -> ir.Value:
    """The 32 bits of a number, which is held as int64, along a new last axis."""
    unsigned = g.op("Mod", g.op("Unsqueeze", value, as_int64(-1)), as_int64(2**32))
    return g.op("Mod", g.op("Div", unsigned, POWERS), as_int64(2))


def _bitwise(op_type: str) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
        shape, dtype = g.output_shapes[0], g.output_dtypes[0]
        if g.opset >= BITWISE_OPSET:
            result = elementwise(g, f"Bitwise{op_type}", [x1, x2], arithmetic_dtype(dtype))
            return g.like(result, from_arithmetic(g, result.value, dtype))
        if arithmetic_dtype(dtype) == "int64":
            g.require(BITWISE_OPSET, f"Bitwise{op_type} of {dtype}")
        values, first = align(g, [x1, x2], len(shape), "int64")
        a, b = (_bits(g, value) for value in values)
        if op_type == "Xor":
            bits = g.op("Mod", g.op("Add", a, b), as_int64(2))
        else:
            bits = g.op("Mul" if op_type == "And" else "Max", a, b)
        number = g.op("ReduceSum", g.op("Mul", bits, POWERS), as_int64(-1), keepdims=0)
        return g.tensor(_of_int64(g, number, dtype), shape, first)

    return lower


def _of_int64(g: Builder, value: ir.Value, dtype: str) -> ir.Value:
    """An int64 value in the graph's type for a dtype; it wraps around."""
    kind = arithmetic_dtype(dtype)
    if kind != "int64":
        value = g.op("Cast", value, to=int(ir.DataType[kind.upper()]))
    return from_arithmetic(g, value, dtype)


for _name in ("And", "Or", "Xor"):
    register_operation(f"bitwise_{_name.lower()}")(_bitwise(_name))


@register_operation("bitwise_not", "bitwise_invert")
def lower_bitwise_not(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """All bits inverted, which is -1 - x."""
    dtype = g.output_dtypes[0]
    value = cast(g, x, arithmetic_dtype(dtype))
    minus_one = np.array(-1, np.int64 if arithmetic_dtype(dtype) == "int64" else np.int32)
    return g.like(x, from_arithmetic(g, g.op("Sub", minus_one, value), dtype), dtype=dtype)


def _shift(to_the_left: bool) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
        shape, dtype = g.output_shapes[0], g.output_dtypes[0]
        if dtype == "int64":
            raise Unsupported("a shift of int64 numbers; cast them to int32")
        (value, count), first = align(g, [x1, x2], len(shape), "int64")
        # TensorFlow shifts by no more than all bits but one.
        count = g.op(
            "Max", g.op("Min", count, np.array(HIGHEST_SHIFT[dtype], np.int64)), np.array(0, np.int64)
        )
        factor = g.op("Gather", g.constant(POWERS), count)
        if to_the_left:
            value = g.op("Mul", value, factor)
        else:
            value = g.op("Div", g.op("Sub", value, g.op("Mod", value, factor)), factor)
        return g.tensor(_of_int64(g, value, dtype), shape, first)

    return lower


register_operation("left_shift", "bitwise_left_shift")(_shift(to_the_left=True))
register_operation("right_shift", "bitwise_right_shift")(_shift(to_the_left=False))
