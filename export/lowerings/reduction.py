"""Reductions over axes: sums, means, extremes and variances."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import onnx_ir as ir
from keras import ops

from export.builder import Builder, Tensor, onnx_dtype
from export.lowerings.composition import Symbol, composed
from export.lowerings.operands import (
    arithmetic_dtype,
    as_array,
    as_int64,
    cast,
    from_arithmetic,
    normalize_axes,
)
from export.lowerings.registry import LoweringFunction, register_operation

Axis = int | Sequence[int] | None

OPERATORS = {
    **{"sum": "ReduceSum", "prod": "ReduceProd", "mean": "ReduceMean", "logsumexp": "ReduceLogSumExp"},
    **{"max": "ReduceMax", "amax": "ReduceMax", "min": "ReduceMin", "amin": "ReduceMin"},
}


def reduce_tensor(g: Builder, op_type: str, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    """A Reduce operator over Keras axes, in the layout that saves a transpose."""
    axes = normalize_axes(axis, x.rank)
    kept = [index for index in range(x.rank) if index not in axes]
    if not keepdims and kept[1:] and x.rank - 1 in kept:  # the channels stay, after other axes
        x = g.keras_layout(x)
    value = g.reduce(op_type, x.value, sorted(g.axis(x, one) for one in axes), keepdims)
    return g.tensor(value, g.output_shapes[0], x.channels_first and keepdims)


def _reduction(op_type: str) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        dtype = g.output_dtypes[0]
        numbers = g.like(x, cast(g, x, arithmetic_dtype(dtype)), dtype=arithmetic_dtype(dtype))
        result = reduce_tensor(g, op_type, numbers, operation.axis, operation.keepdims)
        value, initial = result.value, getattr(operation, "initial", None)
        if initial is not None:
            value = g.op(op_type.removeprefix("Reduce"), value, as_array(initial, arithmetic_dtype(dtype)))
        return g.like(result, from_arithmetic(g, value, dtype))

    return lower


for _name, _op_type in OPERATORS.items():
    register_operation(_name)(_reduction(_op_type))


def _logical_reduction(op_type: str) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        bits = g.like(x, _as_bits(g, x, "uint8"), dtype="uint8")  # ReduceMax takes bool from opset 20
        result = reduce_tensor(g, op_type, bits, operation.axis, operation.keepdims)
        return g.like(result, g.op("Cast", result.value, to=int(onnx_dtype("bool"))))

    return lower


register_operation("any")(_logical_reduction("ReduceMax"))
register_operation("all")(_logical_reduction("ReduceMin"))


@register_operation("count_nonzero")
def lower_count_nonzero(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """How many numbers are not 0."""
    bits = g.like(x, _as_bits(g, x, "int32"), dtype="int32")
    return reduce_tensor(g, "ReduceSum", bits, operation.axis, False)


def _as_bits(g: Builder, x: Tensor, dtype: str) -> ir.Value:
    """1 for each number that is not 0, and 0 otherwise, in an integer dtype."""
    return g.op("Cast", cast(g, x, "bool"), to=int(onnx_dtype(dtype)))


def variance(g: Builder, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    """The biased variance, in two passes."""
    axes = sorted(g.axis(x, one) for one in normalize_axes(axis, x.rank))
    centered = g.op("Sub", x.value, g.reduce("ReduceMean", x.value, axes))
    return reduce_tensor(g, "ReduceMean", g.like(x, g.op("Mul", centered, centered)), axis, keepdims)


@register_operation("var")
def lower_var(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Variance."""
    return variance(g, g.like(x, cast(g, x, "float32")), operation.axis, operation.keepdims)


@register_operation("std")
def lower_std(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Standard deviation."""
    squared = lower_var(g, operation, x)
    return g.like(squared, g.op("Sqrt", squared.value))


@register_operation("moments")
def lower_moments(g: Builder, operation: keras.Operation, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance."""
    mean = reduce_tensor(g, "ReduceMean", x, operation.axes, operation.keepdims)
    return mean, variance(g, x, operation.axes, operation.keepdims)


def _index_of_extreme(op_type: str) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        x, axis = g.keras_layout(x), operation.axis
        value = cast(g, x, arithmetic_dtype(x.dtype))
        if axis is None:
            value = g.op("Reshape", value, as_int64(-1))
        value = g.op(
            op_type, value, axis=0 if axis is None else axis % x.rank, keepdims=int(operation.keepdims)
        )
        if axis is not None:
            return g.result(g.op("Cast", value, to=int(onnx_dtype(g.output_dtypes[0]))))
        shape = (1,) * len(g.output_shapes[0])
        value = g.op("Reshape", value, as_int64(*shape))
        return g.tensor(g.op("Cast", value, to=int(onnx_dtype(g.output_dtypes[0]))), shape)

    return lower


register_operation("argmax")(_index_of_extreme("ArgMax"))
register_operation("argmin")(_index_of_extreme("ArgMin"))


def ptp(operation: keras.Operation, x: Symbol) -> Symbol:
    """The difference of the largest and the smallest number."""
    axis, keepdims = operation.axis, operation.keepdims
    return ops.max(x, axis=axis, keepdims=keepdims) - ops.min(x, axis=axis, keepdims=keepdims)


register_operation("ptp", optional=True)(composed(ptp))
