"""Sorting and selection along an axis."""

from __future__ import annotations

import keras
import onnx_ir as ir
from keras import ops

from export.builder import Builder, Tensor, onnx_dtype
from export.lowerings.composition import Symbol, composed
from export.lowerings.operands import arithmetic_dtype, as_int64, cast, from_arithmetic
from export.lowerings.registry import register_operation
from export.lowerings.sizes import size_of, size_vector


def _ascending(g: Builder, operation: keras.Operation, x: Tensor) -> tuple[ir.Value, ir.Value, Tensor]:
    """The numbers in ascending order and their indices; equal numbers keep their order, as in Keras."""
    value, axis = cast(g, x, arithmetic_dtype(x.dtype)), operation.axis
    if axis is None:
        x = g.keras_layout(x)
        value = g.op("Reshape", cast(g, x, arithmetic_dtype(x.dtype)), as_int64(-1))
        x, axis = g.tensor(value, g.output_shapes[0], dtype=arithmetic_dtype(x.dtype)), 0
    size = size_vector(g, [size_of(g, x, axis)])
    values, indices = g.op("TopK", value, size, axis=g.axis(x, axis), largest=0, outputs=2)
    return values, indices, x


@register_operation("sort")
def lower_sort(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The numbers of an axis in ascending order; of all in a row if there is no axis."""
    values, _, layout = _ascending(g, operation, x)
    return g.result(from_arithmetic(g, values, g.output_dtypes[0]), layout)


@register_operation("argsort")
def lower_argsort(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The indices that sort an axis."""
    _, indices, layout = _ascending(g, operation, x)
    return g.result(g.op("Cast", indices, to=int(onnx_dtype(g.output_dtypes[0]))), layout)


@register_operation("top_k")
def lower_top_k(g: Builder, operation: keras.Operation, x: Tensor) -> tuple[Tensor, Tensor]:
    """The k largest numbers of the last axis and their indices. They are sorted, even if they need not be."""
    number = cast(g, x, arithmetic_dtype(x.dtype))
    values, indices = g.op("TopK", number, as_int64(operation.k), axis=g.axis(x, -1), outputs=2)
    indices = g.op("Cast", indices, to=int(onnx_dtype(g.output_dtypes[1])))
    shape = (*x.shape[:-1], operation.k)
    return (
        g.like(x, from_arithmetic(g, values, x.dtype), shape),
        g.like(x, indices, shape, dtype=g.output_dtypes[1]),
    )


def in_top_k(operation: keras.Operation, targets: Symbol, predictions: Symbol) -> Symbol:
    """Whether fewer than k predictions are larger than that of the target. All have to be finite."""
    classes = ops.arange(predictions.shape[-1])
    wanted = ops.equal(ops.expand_dims(targets, -1), classes)
    target = ops.sum(ops.where(wanted, predictions, 0.0), axis=-1, keepdims=True)
    larger = ops.sum(ops.cast(predictions > target, "int32"), axis=-1)
    finite = ops.all(ops.isfinite(predictions), axis=-1)
    exists = ops.any(wanted, axis=-1)
    return ops.logical_and(ops.logical_and(exists, finite), larger < operation.k)


register_operation("in_top_k")(composed(in_top_k))
