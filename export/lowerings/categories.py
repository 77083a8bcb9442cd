"""Categories: numbers of classes as vectors of ones or counts, and numbers as the bins that they are in."""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Shape, Tensor, onnx_dtype
from export.errors import Unsupported
from export.lowerings.one_hot import one_hot
from export.lowerings.operands import Argument, as_float, as_int64, as_value, cast
from export.lowerings.registry import register_lowering

layers = keras.layers


def refuse_sparse(layer: keras.Layer) -> None:
    """Raise Unsupported if a layer returns a sparse tensor."""
    if getattr(layer, "sparse", False):
        raise Unsupported("sparse=True, which ONNX has no tensors for")


def encode(
    g: Builder, x: Tensor, mode: str, depth: int, dtype: str, weights: Argument | None = None
) -> Tensor:
    """Class numbers as they are, as vectors with a 1, or for each sample as a vector of ones or counts.

    Args:
        g: the builder of the call.
        x: the class numbers. One that is out of range counts nowhere.
        mode: 'int', 'one_hot', 'multi_hot' or 'count'.
        depth: number of classes.
        dtype: dtype of the result.
        weights: what each class number counts in mode 'count'; 1 if None.
    """
    x = g.keras_layout(x)
    if mode == "int":
        return g.like(x, cast(g, x, dtype), dtype=dtype)
    if mode == "one_hot":
        if x.rank > 1 and x.shape[-1] == 1:
            x = g.like(x, g.op("Squeeze", x.value, as_int64(-1)), x.shape[:-1])
        return g.tensor(one_hot(g, x, depth, -1, dtype), (*x.shape, depth), dtype=dtype)
    if x.rank == 2:
        return g.tensor(_count(g, x, mode, depth, dtype, weights), (x.shape[0], depth), dtype=dtype)
    ones = one_hot(g, x, depth, -1, dtype)
    if weights is not None:
        ones = g.op("Mul", ones, g.op("Unsqueeze", as_value(g, weights, dtype), as_int64(-1)))
    axis = min(1, x.rank - 1)
    value = g.reduce("ReduceMax" if mode == "multi_hot" else "ReduceSum", ones, [axis], keepdims=False)
    shape: Shape = (*(size for index, size in enumerate(x.shape) if index != axis), depth)
    return g.tensor(value, shape, dtype=dtype)


def _count(g: Builder, x: Tensor, mode: str, depth: int, dtype: str, weights: Argument | None) -> ir.Value:
    """Ones or counts for each row of a matrix of class numbers; time and memory grow with their sum, not product."""
    numbers = cast(g, x, "int64")
    valid = g.op("And", g.op("GreaterOrEqual", numbers, as_int64(0)), g.op("Less", numbers, as_int64(depth)))
    columns = g.op("Where", valid, numbers, as_int64(depth))
    one = np.ones(1, onnx_dtype(dtype).numpy())
    added = (
        as_value(g, weights, dtype) if weights is not None else g.op("Expand", one, g.op("Shape", numbers))
    )
    rows = g.op("Shape", numbers, start=0, end=1)
    zeros = g.op("Expand", 0 * one, g.op("Concat", rows, as_int64(depth + 1), axis=0))
    reduction = "add" if mode == "count" else None
    counts = g.op("ScatterElements", zeros, columns, added, axis=1, reduction=reduction)
    return g.op("Slice", counts, as_int64(0), as_int64(depth), as_int64(1))


@register_lowering(layers.CategoryEncoding)
def lower_category_encoding(
    g: Builder, layer: keras.layers.CategoryEncoding, x: Tensor, count_weights: Argument | None = None
) -> Tensor:
    """CategoryEncoding in each output mode."""
    refuse_sparse(layer)
    return encode(g, x, layer.output_mode, layer.num_tokens, g.output_dtypes[0], count_weights)


@register_lowering(layers.Discretization)
def lower_discretization(g: Builder, layer: keras.layers.Discretization, x: Tensor) -> Tensor:
    """How many boundaries are not above a number, in each output mode."""
    refuse_sparse(layer)
    if layer.bin_boundaries is None:
        raise Unsupported("it has no bin boundaries yet; call adapt")
    boundaries = np.asarray(layer.bin_boundaries, np.float32)
    numbers = g.op("Unsqueeze", as_float(g, x).value, as_int64(-1))
    not_above = g.op("Not", g.op("Less", numbers, boundaries))  # true for NaN, too, as in TensorFlow
    count = g.op("Cast", not_above, to=int(ir.DataType.INT32))
    bins = g.like(x, g.reduce("ReduceSum", count, [-1], keepdims=False), dtype="int32")
    return encode(g, bins, layer.output_mode, len(boundaries) + 1, g.output_dtypes[0])
