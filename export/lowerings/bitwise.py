"""Bitwise operations on integers: ONNX has operators for them, but for shifts of signed numbers.

A shift by n bits is a product with 2^n, or a quotient by 2^n that is rounded down.
"""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.elementwise import fold
from export.lowerings.operands import Argument, align, arithmetic_dtype, cast, from_arithmetic
from export.lowerings.registry import LoweringFunction, register_operation


def _bitwise(op_type: str) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
        g.require(18, op_type)
        return fold(g, op_type, [x1, x2])

    return lower


for _name in ("And", "Or", "Xor"):
    register_operation(f"bitwise_{_name.lower()}")(_bitwise(f"Bitwise{_name}"))


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
        bits = int(dtype.lstrip("uint"))
        if bits > 32:
            raise Unsupported(f"a shift of {dtype} numbers; cast them to int32")
        (value, count), first = align(g, [x1, x2], len(shape), "int64")
        # TensorFlow shifts by no more than all bits but one. An int64 product holds all bits of the result.
        count = g.op("Max", g.op("Min", count, np.array(bits - 1)), np.array(0))
        factor = g.op("Gather", g.constant(2 ** np.arange(32, dtype=np.int64)), count)
        if to_the_left:
            value = g.op("Mul", value, factor)
        else:
            value = g.op("Div", g.op("Sub", value, g.op("Mod", value, factor)), factor)
        if arithmetic_dtype(dtype) == "int32":
            value = g.op("Cast", value, to=int(ir.DataType.INT32))
        return g.tensor(from_arithmetic(g, value, dtype), shape, first)

    return lower


register_operation("left_shift", "bitwise_left_shift")(_shift(to_the_left=True))
register_operation("right_shift", "bitwise_right_shift")(_shift(to_the_left=False))
