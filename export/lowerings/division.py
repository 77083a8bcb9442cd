"""Quotients and remainders, of floats and of integers."""

from __future__ import annotations

import keras
import onnx_ir as ir
from keras import ops

from export.builder import Builder, Tensor, is_float
from export.lowerings.composition import Symbol, composed
from export.lowerings.operands import Argument, align, arithmetic_dtype, from_arithmetic, onnx_dtype
from export.lowerings.registry import register_operation


@register_operation("floor_divide")
def lower_floor_divide(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
    """The quotient rounded down."""
    shape, dtype = g.output_shapes[0], g.output_dtypes[0]
    (x, y), first = align(g, [x1, x2], len(shape), arithmetic_dtype(dtype))
    quotient = g.op("Div", x, y)
    if is_float(dtype):
        return g.tensor(g.op("Floor", quotient), shape, first)
    # Div rounds integers towards 0, which is 1 too many where the two remainders differ.
    same = g.op("Equal", g.op("Mod", x, y), _remainder(g, x, y))
    excess = g.op("Cast", g.op("Not", same), to=int(onnx_dtype(arithmetic_dtype(dtype))))
    return g.tensor(from_arithmetic(g, g.op("Sub", quotient, excess), dtype), shape, first)


@register_operation("mod")
def lower_mod(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
    """The remainder, with the sign of the divisor."""
    shape, dtype = g.output_shapes[0], g.output_dtypes[0]
    (x, y), first = align(g, [x1, x2], len(shape), arithmetic_dtype(dtype))
    if not is_float(dtype):
        return g.tensor(from_arithmetic(g, g.op("Mod", x, y), dtype), shape, first)
    remainder = g.op("Mod", x, y, fmod=1)  # with the sign of the dividend
    signs_differ = g.op("Xor", g.op("Less", remainder, 0.0), g.op("Less", y, 0.0))
    moves = g.op("And", signs_differ, g.op("Not", g.op("Equal", remainder, 0.0)))
    return g.tensor(g.op("Where", moves, g.op("Add", remainder, y), remainder), shape, first)


@register_operation("fmod", optional=True)
def lower_fmod(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
    """The remainder, with the sign of the dividend."""
    shape, dtype = g.output_shapes[0], g.output_dtypes[0]
    (x, y), first = align(g, [x1, x2], len(shape), arithmetic_dtype(dtype))
    value = g.op("Mod", x, y, fmod=1) if is_float(dtype) else _remainder(g, x, y)
    return g.tensor(from_arithmetic(g, value, dtype), shape, first)


def _remainder(g: Builder, x: ir.Value, y: ir.Value) -> ir.Value:
    """The remainder of integers with the sign of the dividend. onnxruntime 1.20 computes it in floats for Mod."""
    return g.op("Sub", x, g.op("Mul", g.op("Div", x, y), y))


def divide_no_nan(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """x1 / x2, and 0 where x2 is 0."""
    return ops.where(ops.equal(x2, 0), 0.0, ops.divide(x1, x2))


def gcd(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """The greatest common divisor, by Euclid's algorithm."""
    dtype = keras.backend.result_type(x1.dtype, x2.dtype)
    a, b = ops.abs(ops.cast(x1, dtype)), ops.abs(ops.cast(x2, dtype))
    for _ in range(92 if dtype == "int64" else 47):  # two Fibonacci numbers of as many bits need most steps
        a, b = ops.where(b > 0, b, a), ops.mod(a, ops.maximum(b, 1))
    return a


def lcm(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """The least common multiple; 0 if a number is 0."""
    divisor = ops.maximum(gcd(operation, x1, x2), 1)
    return ops.abs(x1) * ops.floor_divide(ops.abs(x2), divisor)


register_operation("divide_no_nan")(composed(divide_no_nan))
register_operation("gcd", optional=True)(composed(gcd))
register_operation("lcm", optional=True)(composed(lcm))
