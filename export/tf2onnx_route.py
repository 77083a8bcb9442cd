"""The tf2onnx route, for models with a layer that the direct route doesn't support."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import onnx

from export.conversion import DEFAULT_OPSET, Options
from export.errors import UserError
from export.signature import input_names, is_nchw, output_names, takes_uint8

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
        raise UserError(
            f"expected Keras on TensorFlow for the tf2onnx route, got {keras.backend.backend()}; use "
            f"KERAS_BACKEND=tensorflow ({reason})"
        )
    import tensorflow as tf
    import tf2onnx

    opset = options.opset or DEFAULT_OPSET
    if opset > TF2ONNX_HIGHEST_OPSET:
        raise UserError(
            f"opset: expected at most {TF2ONNX_HIGHEST_OPSET} by the tf2onnx route, got {opset}; {reason}"
        )
    symbolic = keras.tree.flatten(getattr(model, "inputs", None) or [])
    if not symbolic:
        raise UserError(f"model {model.name!r}: expected fixed inputs; build it with a shape ({reason})")
    specs = [
        tf.TensorSpec(_graph_shape(tensor, options), _graph_dtype(tensor, options), name=tensor.name)
        for tensor in symbolic
    ]

    @tf.function(input_signature=specs)
    def call(*inputs: Any) -> Any:
        values = []
        for value, tensor in zip(inputs, symbolic, strict=True):
            if is_nchw(tensor.shape, options):
                value = tf.transpose(value, [0, *range(2, len(tensor.shape)), 1])
            values.append(tf.cast(value, tensor.dtype))
        structured = keras.tree.pack_sequence_as(model.inputs, values) if len(values) > 1 else values[0]
        return keras.tree.flatten(model(structured, training=False))

    try:
        proto, _ = tf2onnx.convert.from_function(call, input_signature=specs, opset=opset)
    except Exception as error:  # tf2onnx raises anything
        raise UserError(f"neither route can convert the model: {reason}; tf2onnx: {error}") from error
    if len(proto.graph.input) != len(
        symbolic
    ):  # it makes inputs of tables and of constants that were captured
        extra = ", ".join(value.name for value in proto.graph.input if value.name not in input_names(model))
        raise UserError(
            f"neither route can convert the model: {reason}; tf2onnx adds inputs to the graph: {extra}"
        )
    count = len(proto.graph.output)
    if model.outputs is not None and len(keras.tree.flatten(model.outputs)) == count:
        outputs = output_names(model)
    else:
        outputs = [f"output{index}" for index in range(count)]
    _rename(proto, [*input_names(model), *outputs], options.batch)
    return proto, outputs


def _graph_shape(tensor: keras.KerasTensor, options: Options) -> Sequence[int | None]:
    shape = [options.batch, *tensor.shape[1:]]
    return [shape[0], shape[-1], *shape[1:-1]] if is_nchw(shape, options) else shape


def _graph_dtype(tensor: keras.KerasTensor, options: Options) -> str:
    return "uint8" if takes_uint8(str(tensor.dtype), options) else str(tensor.dtype)


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
