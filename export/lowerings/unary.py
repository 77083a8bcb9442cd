"""Functions of one tensor, number by number."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import onnx_ir as ir
from keras import ops

from export.builder import Builder, Tensor, is_float
from export.errors import Unsupported
from export.lowerings.casting import range_of
from export.lowerings.composition import Symbol, as_float, composed
from export.lowerings.operands import arithmetic_dtype, as_array, cast, from_arithmetic
from export.lowerings.registry import LoweringFunction, register_lowering, register_operation

# The ONNX operators that compute an operation one after the other. The first ones take integers, too.
OPERATORS = {
    **{"absolute": ["Abs"], "abs": ["Abs"], "negative": ["Neg"], "sign": ["Sign"]},
    **{"fabs": ["Abs"], "floor": ["Floor"], "ceil": ["Ceil"]},
    **{"exp": ["Exp"], "log": ["Log"], "erf": ["Erf"], "sqrt": ["Sqrt"]},
    **{"reciprocal": ["Reciprocal"], "rsqrt": ["Sqrt", "Reciprocal"]},
    **{"sin": ["Sin"], "cos": ["Cos"], "tan": ["Tan"], "arcsin": ["Asin"], "arccos": ["Acos"]},
    **{"arctan": ["Atan"], "sinh": ["Sinh"], "cosh": ["Cosh"], "tanh": ["Tanh"]},
    **{"arcsinh": ["Asinh"], "arccosh": ["Acosh"], "arctanh": ["Atanh"]},
    **{name: [] for name in ("stop_gradient", "copy", "conj", "conjugate", "real")},
}
_TAKES_INTEGERS = ("Abs", "Neg", "Sign")


def _unary(op_types: list[str]) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        dtype = g.output_dtypes[0]
        if not op_types:
            return g.like(x, cast(g, x, dtype), dtype=dtype)
        if not is_float(dtype) and not set(op_types) <= set(_TAKES_INTEGERS):
            raise Unsupported(f"numbers of dtype {dtype}; cast them to float32")
        value: ir.Value = cast(g, x, arithmetic_dtype(dtype))
        for op_type in op_types:
            value = g.op(op_type, value)
        return g.like(x, from_arithmetic(g, value, dtype), dtype=dtype)

    return lower


for _name, _op_types in OPERATORS.items():
    register_operation(_name, optional=True)(_unary(_op_types))


@register_lowering(keras.layers.Identity, keras.layers.ActivityRegularization, any_layout=True)
def lower_identity(g: Builder, layer: keras.layers.Layer, x: Tensor) -> Tensor:
    """The input."""
    return x


@register_operation("square")
def lower_square(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """x * x."""
    dtype = g.output_dtypes[0]
    value = cast(g, x, arithmetic_dtype(dtype))
    return g.like(x, from_arithmetic(g, g.op("Mul", value, value), dtype), dtype=dtype)


@register_operation("clip")
def lower_clip(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Values clipped to [x_min, x_max]."""
    dtype = g.output_dtypes[0]
    bounds = (operation.x_min, operation.x_max)
    if any(isinstance(bound, keras.KerasTensor) for bound in bounds):
        raise Unsupported("a clip to computed bounds; use ops.maximum and ops.minimum")
    low, high = (as_array(bound, arithmetic_dtype(dtype)) for bound in bounds)
    value = cast(g, x, arithmetic_dtype(dtype))
    if low.ndim or high.ndim or low > high:
        x = g.keras_layout(x)
        value = g.op("Max", g.op("Min", cast(g, x, arithmetic_dtype(dtype)), high), low)
    else:
        value = g.op("Clip", value, low, high)
    return g.like(x, from_arithmetic(g, value, dtype), dtype=dtype)


# Operations that are made of others. Each form keeps the relative error to a few units in the last place.


def expm1(operation: keras.Operation, x: Symbol) -> Symbol:
    """exp(x) - 1 = 2 sinh(x/2) exp(x/2), which cancels nothing near 0; it is -1 from -100 down."""
    half = ops.maximum(as_float(x), -100.0) * 0.5
    return 2.0 * ops.sinh(half) * ops.exp(half)


def log1p(operation: keras.Operation, x: Symbol) -> Symbol:
    """log(1 + x) = 2 artanh(x / (2 + x)), which cancels nothing near 0."""
    x = as_float(x)
    return ops.where(ops.abs(x) < 0.5, 2.0 * ops.arctanh(x / (x + 2.0)), ops.log(x + 1.0))


def round_to_decimals(operation: keras.Operation, x: Symbol) -> Symbol:
    """`x` rounded to a number of decimals, half to even."""
    factor = 10.0**operation.decimals
    if "int" in x.dtype and operation.decimals >= 0:
        return ops.copy(x)
    return ops.cast(ops.round(as_float(x) * factor) / factor, x.dtype)


def nan_to_num(operation: keras.Operation, x: Symbol) -> Symbol:
    """NaN and the infinities replaced."""
    if "float" not in x.dtype:
        return ops.copy(x)
    low, high = range_of(x.dtype)
    high = high if operation.posinf is None else operation.posinf
    low = low if operation.neginf is None else operation.neginf
    x = ops.where(ops.isnan(x), float(operation.nan), x)
    x = ops.where(ops.equal(x, math.inf), float(high), x)
    return ops.where(ops.equal(x, -math.inf), float(low), x)


def sinc(operation: keras.Operation, x: Symbol) -> Symbol:
    """sin(pi x) / (pi x), and 1 at 0."""
    angle = as_float(x) * math.pi
    return ops.where(ops.equal(angle, 0), 1.0, ops.sin(angle) / angle)


COMPOSED: dict[str, Callable[[keras.Operation, Symbol], Symbol]] = {
    "angle": lambda _, x: ops.where(as_float(x) < 0, math.pi, 0.0),
    "cbrt": lambda _, x: ops.sign(as_float(x)) * ops.power(ops.abs(as_float(x)), 1 / 3),
    "deg2rad": lambda _, x: as_float(x) * (math.pi / 180),
    "exp2": lambda _, x: ops.power(2.0, as_float(x)),
    "expm1": expm1,
    "imag": lambda _, x: ops.zeros_like(x),
    "isreal": lambda _, x: ops.ones_like(x, dtype="bool"),
    "log10": lambda _, x: ops.log(x) / math.log(10),
    "log1p": log1p,
    "log2": lambda _, x: ops.log(x) / math.log(2),
    "nan_to_num": nan_to_num,
    "rad2deg": lambda _, x: as_float(x) * (180 / math.pi),
    "sinc": sinc,
    "trunc": lambda _, x: x if "float" not in x.dtype else ops.where(x < 0, ops.ceil(x), ops.floor(x)),
}
for _name, _function in COMPOSED.items():
    register_operation(_name, optional=True)(composed(_function))


@register_operation("round")
def lower_round(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """`x` rounded half to even, to a number of decimals."""
    if operation.decimals == 0 and is_float(x.dtype):
        return g.like(x, g.op("Round", x.value))
    return composed(round_to_decimals)(g, operation, x)
