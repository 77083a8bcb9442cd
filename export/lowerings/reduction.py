"""Reductions over axes: sums, means, extremes and variances."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from export.builder import Builder, Tensor, onnx_dtype
from export.errors import Unsupported
from export.lowerings.operands import cast, normalize_axes
from export.lowerings.registry import LoweringFunction, register_operation

Axis = int | Sequence[int] | None


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
        if getattr(operation, "initial", None) is not None:
            raise Unsupported("a reduction with an initial value")
        dtype = g.output_dtypes[0]
        x = g.like(x, cast(g, x, dtype), dtype=dtype)
        return reduce_tensor(g, op_type, x, operation.axis, operation.keepdims)

    return lower


register_operation("mean")(_reduction("ReduceMean"))
register_operation("sum")(_reduction("ReduceSum"))
register_operation("max", "amax")(_reduction("ReduceMax"))
register_operation("min", "amin")(_reduction("ReduceMin"))
register_operation("prod")(_reduction("ReduceProd"))
register_operation("logsumexp")(_reduction("ReduceLogSumExp"))


def _logical_reduction(op_type: str) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        bits = g.op(
            "Cast", cast(g, x, "bool"), to=int(onnx_dtype("uint8"))
        )  # ReduceMax takes bool from opset 20
        result = reduce_tensor(g, op_type, g.like(x, bits, dtype="uint8"), operation.axis, operation.keepdims)
        return g.like(result, g.op("Cast", result.value, to=int(onnx_dtype("bool"))))

    return lower


register_operation("any")(_logical_reduction("ReduceMax"))
register_operation("all")(_logical_reduction("ReduceMin"))


def variance(g: Builder, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    """The biased variance, in two passes."""
    axes = sorted(g.axis(x, one) for one in normalize_axes(axis, x.rank))
    centered = g.op("Sub", x.value, g.reduce("ReduceMean", x.value, axes))
    return reduce_tensor(g, "ReduceMean", g.like(x, g.op("Mul", centered, centered)), axis, keepdims)


@register_operation("var")
def lower_var(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Variance."""
    return variance(g, x, operation.axis, operation.keepdims)


@register_operation("std")
def lower_std(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Standard deviation."""
    squared = variance(g, x, operation.axis, operation.keepdims)
    return g.like(squared, g.op("Sqrt", squared.value))


@register_operation("moments")
def lower_moments(g: Builder, operation: keras.Operation, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance."""
    mean = reduce_tensor(g, "ReduceMean", x, operation.axes, operation.keepdims)
    return mean, variance(g, x, operation.axes, operation.keepdims)


def _index_of_extreme(op_type: str) -> LoweringFunction:
    def lower(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        if operation.axis is None:
            raise Unsupported("an argmax or argmin over all axes at once")
        x = g.keras_layout(x)
        value = g.op(op_type, x.value, axis=operation.axis % x.rank, keepdims=int(operation.keepdims))
        return g.result(g.op("Cast", value, to=int(onnx_dtype(g.output_dtypes[0]))))

    return lower


register_operation("argmax")(_index_of_extreme("ArgMax"))
register_operation("argmin")(_index_of_extreme("ArgMin"))
