"""The tf2onnx route, for models with a layer that the direct route doesn't support."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import onnx

from export.conversion import Options
from export.errors import UserError, reason_of
from export.keras_graph import graph_of
from export.layout import graph_shape, is_nchw
from export.precision import in_precision, other_policies
from export.signature import input_names, output_names, takes_uint8

TF2ONNX_HIGHEST_OPSET = 18


def convert_by_tf2onnx(
    model: keras.Model, options: Options, reason: str
) -> tuple[onnx.ModelProto, list[str]]:
    """Convert a model by tf2onnx.

    Args:
        model: the Keras model.
        options: how to convert it.
        reason: why the direct route was not taken, for error messages.

    Returns:
        The ONNX model, whose inputs have the names that Keras has, and the names of its outputs.

    Raises:
        UserError: tf2onnx can't convert the model.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(f"tf2onnx: expected Keras on TensorFlow, got {keras.backend.backend()}; {reason}")
    import tensorflow as tf
    import tf2onnx

    opset = options.opset or min(options.runtime.opset, TF2ONNX_HIGHEST_OPSET)
    if opset > TF2ONNX_HIGHEST_OPSET:
        raise UserError(
            f"opset: expected at most {TF2ONNX_HIGHEST_OPSET} by the tf2onnx route, got {opset}; {reason}"
        )
    symbolic = keras.tree.flatten(model.inputs)
    specs = [
        tf.TensorSpec(_graph_shape(tensor, options), _graph_dtype(tensor, options), name=tensor.name)
        for tensor in symbolic
    ]

    @tf.function(input_signature=specs)
    def call(*inputs: Any) -> Any:
        values = []
        for value, tensor in zip(inputs, symbolic, strict=True):
            if is_nchw(len(tensor.shape), options.input_layout):
                value = tf.transpose(value, [0, *range(2, len(tensor.shape)), 1])
            values.append(tf.cast(value, tensor.dtype))
        structured = keras.tree.pack_sequence_as(graph_of(model).input, values)
        outputs = keras.tree.flatten(model(structured, training=False))
        outputs = [
            tf.transpose(value, [0, value.shape.rank - 1, *range(1, value.shape.rank - 1)])
            if is_nchw(value.shape.rank, options.output_layout)
            else value
            for value in outputs
        ]
        return [
            tf.cast(x, dtype) for x, dtype in zip(outputs, dtypes or [x.dtype for x in outputs], strict=True)
        ]

    try:
        dtypes = _output_dtypes(model) if other_policies(model) else []
        with in_precision(model, "float32") if dtypes else contextlib.nullcontext():
            proto, _ = tf2onnx.convert.from_function(call, input_signature=specs, opset=opset)
    except Exception as error:  # tf2onnx raises anything
        raise UserError(
            f"neither route can convert the model: {reason}; tf2onnx: {reason_of(error)}"
        ) from error
    if len(proto.graph.input) != len(
        symbolic
    ):  # it makes inputs of tables and of constants that were captured
        extra = ", ".join(value.name for value in proto.graph.input if value.name not in input_names(model))
        raise UserError(
            f"neither route can convert the model: {reason}; tf2onnx adds inputs to the graph: {extra}"
        )
    outputs = output_names(model)
    _rename(proto, [*input_names(model), *outputs], options.batch)
    return proto, outputs


def _graph_shape(tensor: keras.KerasTensor, options: Options) -> Sequence[int | None]:
    return graph_shape([options.batch, *tensor.shape[1:]], options.input_layout)


def _graph_dtype(tensor: keras.KerasTensor, options: Options) -> str:
    dtype = str(tensor.dtype)
    return (
        "uint8" if takes_uint8(dtype, options) else {"float64": "float32"}.get(dtype, _interface_dtype(dtype))
    )


def _interface_dtype(dtype: str) -> str:
    """The type of an input or output in the graph: Keras' own, but float32 for bfloat16, which NumPy doesn't have."""
    return "float32" if dtype == "bfloat16" else dtype


def _output_dtypes(model: keras.Model) -> list[str]:
    """The types of the graph's outputs, where its layers compute in another precision than Keras'."""
    symbols = [keras.KerasTensor(x.shape, x.dtype) for x in keras.tree.flatten(model.inputs)]
    structured = keras.tree.pack_sequence_as(model.inputs, symbols) if len(symbols) > 1 else symbols[0]
    return [_interface_dtype(str(x.dtype)) for x in keras.tree.flatten(model.compute_output_spec(structured))]


def _rename(proto: onnx.ModelProto, names: Sequence[str], batch: int | None) -> None:
    """Give the inputs and outputs of a graph new names, in order; name the batch dimension."""
    values = [*proto.graph.input, *proto.graph.output]
    new_names = dict(zip([value.name for value in values], names, strict=True))
    for node in proto.graph.node:
        node.input[:] = [new_names.get(name, name) for name in node.input]
        node.output[:] = [new_names.get(name, name) for name in node.output]
    for value in values:
        value.name = new_names[value.name]
        dimensions = value.type.tensor_type.shape.dim
        if len(dimensions) and batch is None and not dimensions[0].HasField("dim_value"):
            dimensions[0].dim_param = "batch"
