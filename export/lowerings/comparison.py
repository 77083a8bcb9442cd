"""Comparisons and logic: operations that return bool, and those that choose by a condition."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from export.builder import Builder, Tensor, is_float
from export.errors import Unsupported
from export.lowerings.composition import Symbol, composed
from export.lowerings.elementwise import elementwise
from export.lowerings.operands import (
    Argument,
    arithmetic_dtype,
    cast,
    from_arithmetic,
    lay_out,
    operand_dtype,
    prefer_channels_first,
)
from export.lowerings.registry import LoweringFunction, register_operation

COMPARISONS = {
    "equal": ["Equal"],
    "not_equal": ["Equal", "Not"],
    "greater": ["Greater"],
    "greater_equal": ["GreaterOrEqual"],
    "less": ["Less"],
    "less_equal": ["LessOrEqual"],
}
LOGIC = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}


def _comparison(op_types: Sequence[str]) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
        args = (x1, x2)
        result = elementwise(g, op_types[0], args, arithmetic_dtype(operand_dtype(args)))
        return g.like(result, g.op("Not", result.value)) if "Not" in op_types else result

    return lower


def _logic(op_type: str) -> LoweringFunction:
    return lambda g, operation, x1, x2: elementwise(g, op_type, [x1, x2], "bool")


for _name, _op_types in COMPARISONS.items():
    register_operation(_name)(_comparison(_op_types))
for _name, _op_type in LOGIC.items():
    register_operation(_name)(_logic(_op_type))


@register_operation("logical_not")
def lower_logical_not(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Whether a number is 0, or a bool is False."""
    return g.like(x, g.op("Not", cast(g, x, "bool")), dtype="bool")


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
    args, dtypes = (condition, x1, x2), ("bool", *[arithmetic_dtype(dtype)] * 2)
    first = prefer_channels_first(args, len(shape))
    values = [lay_out(g, x, len(shape), kind, first) for x, kind in zip(args, dtypes, strict=True)]
    return g.tensor(from_arithmetic(g, g.op("Where", *values), dtype), shape, first)


# What a number is


def _test(op_type: str, **attributes: int) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        if not is_float(x.dtype):  # an integer is neither
            return g.lower(lambda x: ops.zeros_like(x, dtype="bool"), x)
        return g.like(x, g.op(op_type, x.value, outputs=1, domain="", **attributes), dtype="bool")

    return lower


register_operation("isnan")(_test("IsNaN"))
register_operation("isinf")(_test("IsInf"))
register_operation("isposinf", optional=True)(_test("IsInf", detect_negative=0))
register_operation("isneginf", optional=True)(_test("IsInf", detect_positive=0))


def signbit(operation: keras.Operation, x: Symbol) -> Symbol:
    """Whether a number is negative, -0 among them: its reciprocal is -inf."""
    negative = x < 0
    return negative if "float" not in x.dtype else ops.logical_or(negative, ops.reciprocal(x) < 0)


def isclose(
    operation: keras.Operation,
    x1: Symbol,
    x2: Symbol,
    rtol: Symbol = 1e-5,
    atol: Symbol = 1e-8,
    equal_nan: bool = False,
) -> Symbol:
    """|x1 - x2| <= atol + rtol |x2|; integers are compared exactly."""
    dtype = keras.backend.result_type(*(getattr(x, "dtype", type(x)) for x in (x1, x2)))
    x1, x2 = ops.cast(x1, dtype), ops.cast(x2, dtype)
    if "float" not in dtype:
        return ops.equal(x1, x2)
    close = ops.abs(x1 - x2) <= atol + rtol * ops.abs(x2)
    both_nan = getattr(operation, "equal_nan", equal_nan)  # an argument of the call in Keras 3.8
    return _or_both_nan(close, x1, x2) if both_nan else close


def allclose(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """Whether all numbers are close, or equal infinities."""
    return ops.all(
        ops.logical_or(isclose(operation, x1, x2, operation.rtol, operation.atol), ops.equal(x1, x2))
    )


def _or_both_nan(close: Symbol, x1: Symbol, x2: Symbol) -> Symbol:
    return ops.logical_or(close, ops.logical_and(ops.not_equal(x1, x1), ops.not_equal(x2, x2)))


def select(
    operation: keras.Operation, conditions: list[Symbol], choices: list[Symbol], default: Symbol = 0
) -> Symbol:
    """For each number, the choice of the first condition that is True."""
    for condition, choice in reversed(list(zip(conditions, choices, strict=True))):
        default = ops.where(condition, choice, default)
    return default


register_operation("isfinite")(composed(lambda _, x: ops.abs(x) < float("inf")))
register_operation("isclose")(composed(isclose))
register_operation("allclose", optional=True)(composed(allclose))
register_operation("signbit", optional=True)(composed(signbit))
register_operation("select")(composed(select))
