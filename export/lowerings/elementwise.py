"""Operations of keras.ops written between layers, or within a layer's `call`: elementwise, and reductions."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Shape, Tensor, onnx_dtype
from export.errors import Unsupported
from export.lowerings import activation as activations
from export.lowerings.registry import Lowering, register_lowering


def symbol(*shape: int) -> keras.KerasTensor:
    """A symbolic tensor for the trial call of `register_operation`."""
    return keras.KerasTensor(shape)


def register_operation(
    function: str | Callable[..., Any], *args: Any, **kwargs: Any
) -> Callable[[Lowering], Lowering]:
    """`register_lowering` for the operation that a function leaves in a model's graph.

    Args:
        function: the function, or its name in keras.ops; one that is newer than this Keras is passed over.
        *args: arguments of a trial call that shows the operation's class.
        **kwargs: likewise.
    """
    call = getattr(keras.ops, function, None) if isinstance(function, str) else function
    if call is None:
        return lambda lowering: lowering
    output = keras.tree.flatten(call(*args, **kwargs))[0]
    return register_lowering(type(output._keras_history.operation), any_layout=True)


def is_constant(value: Any) -> bool:
    """Whether an argument is known now: a number, an array, a variable."""
    return not isinstance(value, Tensor)


def as_array(value: Any, dtype: str) -> np.ndarray:
    """A constant argument as an array of the graph's type for a Keras dtype."""
    return np.asarray(value).astype(onnx_dtype(dtype).numpy())


def cast(g: Builder, x: Tensor, dtype: str) -> ir.Value:
    """The value of `x` in another of Keras' dtypes."""
    kind = onnx_dtype(dtype)
    return x.value if onnx_dtype(x.dtype) == kind else g.op("Cast", x.value, to=int(kind))


def channels_first(args: Sequence[Any], rank: int) -> bool:
    """Whether tensors that broadcast to `rank` axes are best held channels first: one is, and all can be."""
    tensors = [x for x in args if isinstance(x, Tensor)]
    return any(x.channels_first for x in tensors) and all(x.rank == rank for x in tensors)


def align(g: Builder, args: Sequence[Any], rank: int, dtype: str) -> tuple[list[ir.Value], bool]:
    """Tensors and constants that broadcast to `rank` axes, in one layout and dtype; whether it is channels first."""
    first = channels_first(args, rank)
    values = []
    for x in args:
        if isinstance(x, Tensor):
            values.append(cast(g, g.channels_first(x) if first else g.keras_layout(x), dtype))
            continue
        array = as_array(x, dtype)
        if array.ndim and first:
            array = np.moveaxis(array.reshape([1] * (rank - array.ndim) + list(array.shape)), -1, 1)
        values.append(g.constant(array))
    return values, first


def elementwise(g: Builder, op_type: str, *args: Any, dtype: str | None = None) -> Tensor:
    """An operator on arguments that broadcast; `dtype` of the operands, if it is not the result's."""
    shape = g.output_shapes[0]
    values, first = align(g, args, len(shape), dtype or g.output_dtypes[0])
    return Tensor(g.op(op_type, *values), shape, first)


def _along_channels(x: Any, shape: Shape) -> np.ndarray | None:
    """A constant that has one number, or one for each place of the last axis; None for any other argument."""
    if not is_constant(x) or not shape or shape[-1] is None:
        return None
    array = np.asarray(x, np.float64)
    if array.size == 1 and array.ndim <= len(shape):
        return array.reshape(())
    fits = array.ndim <= len(shape) and array.ndim and array.size == array.shape[-1] == shape[-1]
    return array.reshape(-1) if fits else None


def _arithmetic(op_type: str, affine: Callable[[Any], tuple[Any, Any]], commutes: bool) -> Lowering:
    """An operator that, with a constant, may be an affine map a x + b, which `export.passes.fold_affine` knows how to move."""

    def lower(g: Builder, layer: Any, x1: Any, x2: Any) -> Tensor:
        if commutes and is_constant(x1):
            x1, x2 = x2, x1
        shape = g.output_shapes[0]
        is_float = g.output_dtypes[0].startswith(("float", "bfloat"))
        constant = _along_channels(x2, shape)
        if (
            constant is not None
            and is_float
            and isinstance(x1, Tensor)
            and x1.shape == shape
            and len(shape) > 1
        ):
            return g.affine(g.like(x1, cast(g, x1, "float32")), *affine(constant), axis=-1)
        return elementwise(g, op_type, x1, x2)

    return lower


for _function, _op_type, _affine, _commutes in (
    ("add", "Add", lambda c: (1.0, c), True),
    ("subtract", "Sub", lambda c: (1.0, -c), False),
    ("multiply", "Mul", lambda c: (c, 0.0), True),
    ("divide", "Div", lambda c: (1 / c, 0.0), False),
    ("true_divide", "Div", lambda c: (1 / c, 0.0), False),
):
    register_operation(_function, symbol(2, 2), symbol(2, 2))(_arithmetic(_op_type, _affine, _commutes))


def _result_dtype(args: Sequence[Any]) -> str:
    kinds = [x.dtype if isinstance(x, Tensor) else getattr(x, "dtype", type(x)) for x in args]
    return str(keras.backend.result_type(*kinds))


def _binary(op_type: str, of_operands: bool = False) -> Lowering:
    def lower(g: Builder, layer: Any, x1: Any, x2: Any) -> Tensor:
        return elementwise(g, op_type, x1, x2, dtype=_result_dtype((x1, x2)) if of_operands else None)

    return lower


for _function, _op_type in (
    ("power", "Pow"),
    ("maximum", "Max"),
    ("minimum", "Min"),
    ("logical_and", "And"),
    ("logical_or", "Or"),
    ("logical_xor", "Xor"),
):
    register_operation(_function, symbol(2, 2), symbol(2, 2))(_binary(_op_type))
for _function, _op_type in (
    ("equal", "Equal"),
    ("greater", "Greater"),
    ("greater_equal", "GreaterOrEqual"),
    ("less", "Less"),
    ("less_equal", "LessOrEqual"),
):
    register_operation(_function, symbol(2, 2), symbol(2, 2))(_binary(_op_type, of_operands=True))


@register_operation("not_equal", symbol(2, 2), symbol(2, 2))
def lower_not_equal(g: Builder, layer: Any, x1: Any, x2: Any) -> Tensor:
    """The formula x1 != x2."""
    equal = elementwise(g, "Equal", x1, x2, dtype=_result_dtype((x1, x2)))
    return g.like(equal, g.op("Not", equal.value))


def _unary(*op_types: str) -> Lowering:
    def lower(g: Builder, layer: Any, x: Tensor) -> Tensor:
        value = cast(g, x, g.output_dtypes[0])
        return g.like(x, functools.reduce(lambda v, op_type: g.op(op_type, v), op_types, value))

    return lower


for _function, _op_types in (
    ("absolute", ["Abs"]),
    ("negative", ["Neg"]),
    ("exp", ["Exp"]),
    ("log", ["Log"]),
    ("sqrt", ["Sqrt"]),
    ("rsqrt", ["Sqrt", "Reciprocal"]),
    ("reciprocal", ["Reciprocal"]),
    ("sin", ["Sin"]),
    ("cos", ["Cos"]),
    ("tan", ["Tan"]),
    ("arctan", ["Atan"]),
    ("tanh", ["Tanh"]),
    ("floor", ["Floor"]),
    ("ceil", ["Ceil"]),
    ("sign", ["Sign"]),
    ("erf", ["Erf"]),
    ("logical_not", ["Not"]),
    ("stop_gradient", []),
    ("copy", []),
    ("cast", []),
):
    _more = ["float32"] if _function == "cast" else []
    register_operation(_function, symbol(2, 2), *_more)(_unary(*_op_types))


@register_operation("square", symbol(2, 2))
def lower_square(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """The formula x * x."""
    return g.like(x, g.op("Mul", x.value, x.value))


@register_operation("clip", symbol(2, 2), 0.0, 1.0)
def lower_clip(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Values kept within bounds."""
    dtype = g.output_dtypes[0]
    low, high = (as_array(bound, dtype) for bound in (layer.x_min, layer.x_max))
    if low.ndim or high.ndim:
        raise Unsupported("clip with bounds that are not single numbers")
    return g.like(x, g.op("Clip", cast(g, x, dtype), low, high))


@register_operation("where", symbol(2, 2), symbol(2, 2), symbol(2, 2))
def lower_where(g: Builder, layer: Any, condition: Any, x1: Any = None, x2: Any = None) -> Tensor:
    """`x1` where the condition holds, else `x2`."""
    shape = g.output_shapes[0]
    if x1 is None or x2 is None:
        raise Unsupported("where without values")
    first = channels_first((condition, x1, x2), len(shape))
    held = [
        (g.channels_first(x) if first else g.keras_layout(x)) if isinstance(x, Tensor) else x
        for x in (condition, x1, x2)
    ]
    chosen, _ = align(g, held[:1], len(shape), "bool")
    if is_constant(condition) and first:
        raise Unsupported("where with a constant condition on images")
    values, _ = align(g, held[1:], len(shape), g.output_dtypes[0])
    return Tensor(g.op("Where", *chosen, *values), shape, first)


def _activation(function: str | Callable[..., Any], lower: Callable[..., Tensor], *fields: str) -> None:
    """Register an activation of keras.ops; the named attributes of the operation are handed on."""

    @register_operation(function, symbol(2, 2))
    def lower_activation(g: Builder, layer: Any, x: Tensor) -> Tensor:
        return lower(g, x, **{field: getattr(layer, field) for field in fields})


for _name in (
    *("relu", "relu6", "silu", "sigmoid", "softplus", "softsign", "tanh_shrink", "hard_sigmoid", "hard_silu"),
    *("hard_tanh", "selu", "log_sigmoid", "sparse_plus", "sparse_sigmoid"),
):
    _activation(_name, activations.BY_NAME[_name])
_activation(keras.activations.relu, activations.relu, "negative_slope", "max_value", "threshold")
_activation("gelu", activations.gelu, "approximate")
_activation("leaky_relu", activations.relu, "negative_slope")
_activation("softmax", activations.softmax, "axis")
_activation("log_softmax", functools.partial(activations.softmax, op_type="LogSoftmax"), "axis")
for _function, _op_type in (("elu", "Elu"), ("celu", "Celu")):
    _activation(
        _function,
        lambda g, x, alpha, op_type=_op_type: g.like(x, g.op(op_type, x.value, alpha=float(alpha))),
        "alpha",
    )


def reduction_axes(x: Tensor, axis: Any) -> list[int]:
    """A reduction's `axis`, one, several or None for all, as ascending Keras axes from 0."""
    if axis is None:
        return list(range(x.rank))
    return sorted(
        operator.index(one) % x.rank for one in (axis if isinstance(axis, (list, tuple)) else [axis])
    )


def reduce_tensor(g: Builder, op_type: str, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    """A Reduce operator over Keras axes, in whichever layout saves a transpose."""
    axes, shape = reduction_axes(x, axis), g.output_shapes[0]
    rest = [place for place in range(x.rank) if place not in axes]
    if not keepdims and rest[1:] and (x.rank - 1) in rest:  # channels are left behind other axes
        x = g.keras_layout(x)
    value = g.reduce(op_type, x.value, sorted(g.axis(x, one) for one in axes), keepdims)
    return Tensor(value, shape, x.channels_first and keepdims)


def _reduction(op_type: str) -> Lowering:
    def lower(g: Builder, layer: Any, x: Tensor) -> Tensor:
        if getattr(layer, "initial", None) is not None:
            raise Unsupported("a reduction with an initial value")
        x = g.like(x, cast(g, x, g.output_dtypes[0]))
        return reduce_tensor(g, op_type, x, layer.axis, layer.keepdims)

    return lower


for _function, _op_type in (
    ("mean", "ReduceMean"),
    ("sum", "ReduceSum"),
    ("max", "ReduceMax"),
    ("min", "ReduceMin"),
    ("amax", "ReduceMax"),
    ("amin", "ReduceMin"),
    ("prod", "ReduceProd"),
    ("logsumexp", "ReduceLogSumExp"),
):
    register_operation(_function, symbol(2, 2))(_reduction(_op_type))


def variance(g: Builder, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    """The biased variance, in two passes."""
    axes = sorted(g.axis(x, one) for one in reduction_axes(x, axis))
    centred = g.op("Sub", x.value, g.reduce("ReduceMean", x.value, axes))
    return reduce_tensor(g, "ReduceMean", g.like(x, g.op("Mul", centred, centred)), axis, keepdims)


@register_operation("var", symbol(2, 2))
def lower_var(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Variance."""
    return variance(g, x, layer.axis, layer.keepdims)


@register_operation("std", symbol(2, 2))
def lower_std(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Standard deviation."""
    squared = variance(g, x, layer.axis, layer.keepdims)
    return g.like(squared, g.op("Sqrt", squared.value))


@register_operation("moments", symbol(2, 2), axes=[0])
def lower_moments(g: Builder, layer: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance."""
    mean = reduce_tensor(g, "ReduceMean", x, layer.axes, layer.keepdims)
    return mean, variance(g, x, layer.axes, layer.keepdims)


def _arg(op_type: str) -> Lowering:
    def lower(g: Builder, layer: Any, x: Tensor) -> Tensor:
        x = g.keras_layout(x)
        if layer.axis is None:
            raise Unsupported("argmax or argmin over all axes at once")
        value = g.op(op_type, x.value, axis=layer.axis % x.rank, keepdims=int(layer.keepdims))
        return Tensor(g.op("Cast", value, to=int(onnx_dtype(g.output_dtypes[0]))), g.output_shapes[0])

    return lower


register_operation("argmax", symbol(2, 2))(_arg("ArgMax"))
register_operation("argmin", symbol(2, 2))(_arg("ArgMin"))
