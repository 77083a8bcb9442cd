"""Class numbers as vectors with ones."""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor, onnx_dtype
from export.lowerings.operands import as_int64, cast
from export.lowerings.registry import register_operation


def one_hot(g: Builder, x: Tensor, number: int, axis: int, dtype: str) -> ir.Value:
    """Class numbers as vectors with a single 1; with none for a class that is out of range."""
    # ONNX has a OneHot, but it counts a negative class from the end, and onnxruntime has it for few types.
    axis = axis % (x.rank + 1)
    vectors = g.op("Unsqueeze", cast(g, g.keras_layout(x), "int64"), as_int64(axis))
    classes = np.arange(number, dtype=np.int64).reshape(number, *[1] * (x.rank - axis))
    return g.op("Cast", g.op("Equal", vectors, classes), to=int(onnx_dtype(dtype)))


@register_operation("one_hot")
def lower_one_hot(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Class numbers as vectors with a single 1."""
    return g.result(one_hot(g, x, operation.num_classes, operation.axis, g.output_dtypes[0]))


@register_operation("multi_hot")
def lower_multi_hot(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Sets of class numbers, along axis 1, as vectors with a 1 for each; a vector is a single set."""
    vectors = one_hot(g, x, operation.num_classes, operation.axis, "float32")
    value = g.reduce("ReduceMax", vectors, [min(1, x.rank - 1)], keepdims=False)
    # Keras says that the dtype is that of the class numbers.
    return g.result(g.op("Cast", value, to=int(onnx_dtype(g.output_dtypes[0]))))
