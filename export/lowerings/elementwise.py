"""Elementwise arithmetic, comparisons and functions: operations, and the layers that merge tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Shape, Tensor, is_float
from export.errors import Unsupported
from export.lowerings.operands import (
    Argument,
    align,
    as_array,
    cast,
    lay_out,
    operand_dtype,
    prefer_channels_first,
)
from export.lowerings.registry import LoweringFunction, register_lowering, register_operation

layers = keras.layers


def elementwise(g: Builder, op_type: str, args: Sequence[Argument], operands: str | None = None) -> Tensor:
    """Fold an operator over arguments that broadcast.

    Args:
        g: the builder.
        op_type: a binary operator.
        args: tensors and constants.
        operands: Keras dtype of the operands, if it is not that of the result.
    """
    shape = g.output_shapes[0]
    values, first = align(g, args, len(shape), operands or g.output_dtypes[0])
    return g.tensor(functools.reduce(lambda a, b: g.op(op_type, a, b), values), shape, first)


# Arithmetic

Map = Callable[[np.ndarray], tuple[np.ndarray | float, np.ndarray | float]]


def _arithmetic(op_type: str, as_map: Map, commutes: bool) -> LoweringFunction:
    """An operator that may be an affine map with a constant, which `fold_affine` can fold.

    Args:
        op_type: the operator.
        as_map: from the constant, scale and shift of the map.
        commutes: whether the constant may be the first operand, too.
    """

    def lower(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
        if commutes and not isinstance(x1, Tensor):
            x1, x2 = x2, x1
        shape = g.output_shapes[0]
        constant = _per_channel(x2, shape)
        is_map = isinstance(x1, Tensor) and x1.shape == shape and len(shape) > 1
        if constant is None or not isinstance(x1, Tensor) or not is_map or not is_float(g.output_dtypes[0]):
            return elementwise(g, op_type, [x1, x2])
        floats = g.like(x1, cast(g, x1, "float32"), dtype="float32")
        return g.affine(floats, *as_map(constant), axis=-1)

    return lower


def _per_channel(x: Argument, shape: Shape) -> np.ndarray | None:
    """A constant of one number, or of one for each index of the last axis; None for any other argument."""
    if isinstance(x, Tensor) or not shape or shape[-1] is None:
        return None
    array = np.asarray(x, np.float64)
    if array.size == 1 and array.ndim <= len(shape):
        return array.reshape(())
    fits = array.ndim <= len(shape) and array.ndim and array.size == array.shape[-1] == shape[-1]
    return array.reshape(-1) if fits else None


register_operation("add")(_arithmetic("Add", lambda c: (1.0, c), commutes=True))
register_operation("subtract")(_arithmetic("Sub", lambda c: (1.0, -c), commutes=False))
register_operation("multiply")(_arithmetic("Mul", lambda c: (c, 0.0), commutes=True))
register_operation("divide", "true_divide")(_arithmetic("Div", lambda c: (1 / c, 0.0), commutes=False))


def _merging(op_type: str) -> LoweringFunction:
    def lower(g: Builder, layer: keras.layers.Layer, tensors: Sequence[Tensor]) -> Tensor:
        ranks = [x.rank for x in tensors]
        if len(set(ranks)) > 1:  # Keras then inserts axes by rules of its own
            raise Unsupported(f"tensors of different ranks {ranks}")
        return elementwise(g, op_type, tensors)

    return lower


_add = _merging("Add")
register_lowering(layers.Add, any_layout=True)(_add)
register_lowering(layers.Subtract, any_layout=True)(_merging("Sub"))
register_lowering(layers.Multiply, any_layout=True)(_merging("Mul"))
register_lowering(layers.Maximum, any_layout=True)(_merging("Max"))
register_lowering(layers.Minimum, any_layout=True)(_merging("Min"))


@register_lowering(layers.Average, any_layout=True)
def lower_average(g: Builder, layer: keras.layers.Average, tensors: Sequence[Tensor]) -> Tensor:
    """Mean of several tensors."""
    total = _add(g, layer, tensors)
    return g.like(total, g.op("Mul", total.value, 1 / len(tensors)))


# Other binary operators, and comparisons


def _binary(op_type: str) -> LoweringFunction:
    return lambda g, operation, x1, x2: elementwise(g, op_type, [x1, x2])


def _comparison(op_type: str) -> LoweringFunction:
    return lambda g, operation, x1, x2: elementwise(g, op_type, [x1, x2], operand_dtype([x1, x2]))


register_operation("power")(_binary("Pow"))
register_operation("maximum")(_binary("Max"))
register_operation("minimum")(_binary("Min"))
register_operation("logical_and")(_binary("And"))
register_operation("logical_or")(_binary("Or"))
register_operation("logical_xor")(_binary("Xor"))
register_operation("equal")(_comparison("Equal"))
register_operation("greater")(_comparison("Greater"))
register_operation("greater_equal")(_comparison("GreaterOrEqual"))
register_operation("less")(_comparison("Less"))
register_operation("less_equal")(_comparison("LessOrEqual"))


@register_operation("not_equal")
def lower_not_equal(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
    """x1 != x2."""
    equal = elementwise(g, "Equal", [x1, x2], operand_dtype([x1, x2]))
    return g.like(equal, g.op("Not", equal.value))


# Functions of one tensor


def _unary(*op_types: str) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        value: ir.Value = cast(g, x, g.output_dtypes[0])
        for op_type in op_types:
            value = g.op(op_type, value)
        return g.like(x, value, dtype=g.output_dtypes[0])

    return lower


register_operation("absolute")(_unary("Abs"))
register_operation("negative")(_unary("Neg"))
register_operation("exp")(_unary("Exp"))
register_operation("log")(_unary("Log"))
register_operation("sqrt")(_unary("Sqrt"))
register_operation("rsqrt")(_unary("Sqrt", "Reciprocal"))
register_operation("reciprocal")(_unary("Reciprocal"))
register_operation("sin")(_unary("Sin"))
register_operation("cos")(_unary("Cos"))
register_operation("tan")(_unary("Tan"))
register_operation("arctan")(_unary("Atan"))
register_operation("tanh")(_unary("Tanh"))
register_operation("floor")(_unary("Floor"))
register_operation("ceil")(_unary("Ceil"))
register_operation("sign")(_unary("Sign"))
register_operation("erf")(_unary("Erf"))
register_operation("logical_not")(_unary("Not"))
register_operation("stop_gradient", "copy", "cast", "convert_to_tensor")(_unary())


@register_lowering(layers.Identity, layers.ActivityRegularization, any_layout=True)
def lower_identity(g: Builder, layer: keras.layers.Layer, x: Tensor) -> Tensor:
    """The input."""
    return x


@register_operation("square")
def lower_square(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """X * x."""
    return g.like(x, g.op("Mul", x.value, x.value))


@register_operation("clip")
def lower_clip(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Values clipped to [x_min, x_max]."""
    dtype = g.output_dtypes[0]
    low, high = (as_array(bound, dtype) for bound in (operation.x_min, operation.x_max))
    if low.ndim or high.ndim:
        raise Unsupported("clip with arrays as bounds")
    return g.like(x, g.op("Clip", cast(g, x, dtype), low, high), dtype=dtype)


@register_operation("where")
def lower_where(
    g: Builder,
    operation: keras.Operation,
    condition: Argument,
    x1: Argument | None = None,
    x2: Argument | None = None,
) -> Tensor:
    """`x1` where the condition is True, `x2` elsewhere."""
    if x1 is None or x2 is None:
        raise Unsupported("where without values")
    shape, dtype = g.output_shapes[0], g.output_dtypes[0]
    args, dtypes = (condition, x1, x2), ("bool", dtype, dtype)
    first = prefer_channels_first(args, len(shape))
    values = [lay_out(g, x, len(shape), kind, first) for x, kind in zip(args, dtypes, strict=True)]
    return g.tensor(g.op("Where", *values), shape, first)
