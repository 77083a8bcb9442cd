"""Functions of TensorFlow that calculate: elementwise, reductions, products and normalizations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

ops = keras.ops

Function = Callable[..., Any]


def like(x: Any, other: Any) -> Any:
    """A constant as TensorFlow converts it: of the dtype of the tensor that it is combined with."""
    if hasattr(x, "dtype") or not isinstance(x, (list, tuple)):
        return x
    return np.asarray(x, dtype_of(other))


def dtype_of(x: Any) -> str | None:
    """The dtype of a tensor of any kind; None for what has none."""
    return keras.backend.standardize_dtype(x.dtype) if hasattr(x, "dtype") else None


def axes_of(axis: Any) -> Any:
    """An axis, or several as a tuple."""
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


def _unary(function: Function) -> Function:
    return lambda x: function(x)


def _binary(function: Function) -> Function:
    return lambda x, y: function(like(x, y), like(y, x))


def _reduction(function: Function) -> Function:
    def reduce(input_tensor: Any, axis: Any = None, keepdims: bool | None = False) -> Any:
        return function(input_tensor, axis=axes_of(axis), keepdims=bool(keepdims))

    return reduce


def _reduction_of_floats(function: Function) -> Function:
    def reduce(input_tensor: Any, axis: Any = None, keepdims: bool | None = False) -> Any:
        if "float" not in keras.backend.standardize_dtype(input_tensor.dtype):
            raise ValueError("of whole numbers, which TensorFlow rounds")
        return function(input_tensor, axis=axes_of(axis), keepdims=bool(keepdims))

    return reduce


def _position(function: Function) -> Function:
    def find(input: Any, axis: int | None = None, output_type: str = "int64") -> Any:
        return ops.cast(function(input, axis=axis or 0), output_type)

    return find


def _cumulative(function: Function) -> Function:
    def accumulate(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Any:
        if exclusive or reverse:
            raise ValueError("with exclusive or reverse")
        return function(x, axis=axis)

    return accumulate


def _cast(x: Any, dtype: str) -> Any:
    return x if keras.backend.standardize_dtype(x.dtype) == dtype else ops.cast(x, dtype)


def _clip(t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    return ops.minimum(ops.maximum(t, clip_value_min), clip_value_max)


def _squared_difference(x: Any, y: Any) -> Any:
    return ops.square(ops.subtract(like(x, y), like(y, x)))


def _atan2(y: Any, x: Any) -> Any:
    return ops.arctan2(like(y, x), like(x, y))


def _norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool | None = False) -> Any:
    if ord not in ("euclidean", 2) or isinstance(axis, (list, tuple)):
        raise ValueError(f"with ord={ord!r} and axis={axis!r}")
    return ops.sqrt(ops.sum(ops.square(tensor), axis=axis, keepdims=bool(keepdims)))


def _l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, dim: Any = None) -> Any:
    squares = ops.sum(ops.square(x), axis=axes_of(dim if axis is None else axis), keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, epsilon)))


def _moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False) -> list[Any]:
    return [function(x, axis=axes_of(axes), keepdims=keepdims) for function in (ops.mean, ops.var)]


def _batch_normalization(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float
) -> Any:
    mean, variance, offset, scale = (like(one, x) for one in (mean, variance, offset, scale))
    factor = ops.rsqrt(ops.add(variance, variance_epsilon))
    if scale is not None:
        factor = ops.multiply(factor, scale)
    y = ops.multiply(ops.subtract(x, mean), factor)
    return y if offset is None else ops.add(y, offset)


def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, **flags: Any) -> Any:
    given = [name for name, flag in flags.items() if flag]
    if given:
        raise ValueError(f"with {', '.join(given)}")
    a, b = like(a, b), like(b, a)
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def _tensordot(a: Any, b: Any, axes: Any) -> Any:
    return ops.tensordot(like(a, b), like(b, a), axes=axes)


def _softmax(function: Function) -> Function:
    return lambda logits, axis=None: function(logits, axis=-1 if axis is None else axis)


def _leaky_relu(features: Any, alpha: float = 0.2) -> Any:
    return ops.leaky_relu(features, negative_slope=alpha)


def _gelu(features: Any, approximate: bool = False) -> Any:
    return ops.gelu(features, approximate=approximate)


def _swish(features: Any, beta: float = 1.0) -> Any:
    return (
        ops.silu(features) if beta == 1 else ops.multiply(features, ops.sigmoid(ops.multiply(features, beta)))
    )


# The name in keras.ops, and the public names in TensorFlow.
_UNARY = {
    "abs": "math.abs abs __operators__.abs", "negative": "math.negative __operators__.neg", "sign": "math.sign",
    "square": "math.square", "sqrt": "math.sqrt", "rsqrt": "math.rsqrt", "exp": "math.exp", "expm1": "math.expm1",
    "log": "math.log", "log1p": "math.log1p", "sin": "math.sin", "cos": "math.cos", "tan": "math.tan",
    "arcsin": "math.asin", "arccos": "math.acos", "arctan": "math.atan", "sinh": "math.sinh", "cosh": "math.cosh",
    "arcsinh": "math.asinh", "arccosh": "math.acosh", "arctanh": "math.atanh", "erf": "math.erf",
    "floor": "math.floor", "ceil": "math.ceil", "round": "math.round", "reciprocal": "math.reciprocal",
    "isnan": "math.is_nan", "isinf": "math.is_inf", "isfinite": "math.is_finite",
    "logical_not": "math.logical_not __operators__.invert", "tanh": "math.tanh nn.tanh",
    "sigmoid": "math.sigmoid nn.sigmoid", "log_sigmoid": "math.log_sigmoid", "relu": "nn.relu", "relu6": "nn.relu6",
    "elu": "nn.elu", "selu": "nn.selu", "softplus": "math.softplus nn.softplus",
    "softsign": "nn.softsign math.softsign",
}  # fmt: skip
_BINARY = {
    "add": "math.add __operators__.add", "subtract": "math.subtract __operators__.sub",
    "multiply": "math.multiply __operators__.mul", "power": "math.pow __operators__.pow",
    "true_divide": "math.truediv math.divide compat.v1.div __operators__.truediv __operators__.div",
    "floor_divide": "math.floordiv compat.v1.floor_div __operators__.floordiv",
    "mod": "math.floormod math.mod __operators__.mod",
    "maximum": "math.maximum", "minimum": "math.minimum",
    "divide_no_nan": "math.divide_no_nan", "equal": "math.equal __operators__.eq",
    "not_equal": "math.not_equal __operators__.ne", "less": "math.less __operators__.lt",
    "less_equal": "math.less_equal __operators__.le", "greater": "math.greater __operators__.gt",
    "greater_equal": "math.greater_equal __operators__.ge",
    "logical_and": "math.logical_and __operators__.logical_and",
    "logical_or": "math.logical_or __operators__.logical_or",
    "logical_xor": "math.logical_xor __operators__.logical_xor",
}  # fmt: skip
_REDUCTIONS = {
    "sum": "math.reduce_sum", "max": "math.reduce_max", "min": "math.reduce_min", "prod": "math.reduce_prod",
    "any": "math.reduce_any", "all": "math.reduce_all", "logsumexp": "math.reduce_logsumexp",
}  # fmt: skip
_REDUCTIONS_OF_FLOATS = {
    "mean": "math.reduce_mean", "var": "math.reduce_variance", "std": "math.reduce_std",
}  # fmt: skip

MATH: dict[str, Function] = {
    **{
        name: make(getattr(ops, operation))
        for table, make in (
            (_UNARY, _unary),
            (_BINARY, _binary),
            (_REDUCTIONS, _reduction),
            (_REDUCTIONS_OF_FLOATS, _reduction_of_floats),
            ({"argmax": "math.argmax", "argmin": "math.argmin"}, _position),
            ({"cumsum": "math.cumsum", "cumprod": "math.cumprod"}, _cumulative),
            ({"softmax": "nn.softmax", "log_softmax": "nn.log_softmax math.log_softmax"}, _softmax),
        )
        for operation, names in table.items()
        if hasattr(ops, operation)
        for name in names.split()
    },
    "cast": _cast,
    "clip_by_value": _clip,
    "math.squared_difference": _squared_difference,
    "math.atan2": _atan2,
    "norm": _norm,
    "linalg.norm": _norm,
    "math.l2_normalize": _l2_normalize,
    "nn.l2_normalize": _l2_normalize,
    "nn.moments": _moments,
    "nn.batch_normalization": _batch_normalization,
    "linalg.matmul": _matmul,
    "matmul": _matmul,
    "__operators__.matmul": _matmul,
    "tensordot": _tensordot,
    "nn.leaky_relu": _leaky_relu,
    "nn.gelu": _gelu,
    "nn.silu": _swish,
    "nn.swish": _swish,
}
