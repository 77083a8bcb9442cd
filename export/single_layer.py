"""A layer that has no lowering, converted by tf2onnx alone: its graph becomes a part of the model's."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import keras
import onnx
import onnx.version_converter
import onnx_ir as ir

from export.builder import Builder, Tensor, is_float, onnx_dtype
from export.errors import Unsupported, reason_of
from export.keras_graph import in_inference
from export.precision import in_precision, other_policies
from export.tf2onnx_route import TF2ONNX_HIGHEST_OPSET

_DOMAINS = ("", "ai.onnx.ml")  # of the operators that any runtime has


@dataclass
class SingleLayers:
    """Converts the layers and operations that have no lowering.

    Attributes:
        reasons: for each that was converted, its name and why it has no lowering.
    """

    reasons: list[str] = field(default_factory=list)

    def convert(self, g: Builder, layer: Any, args: Any, kwargs: Any, reason: Unsupported) -> list[Tensor]:
        """Write the nodes that tf2onnx makes of one call.

        Args:
            g: the builder of the call.
            layer: a layer or an operation.
            args: positional arguments of the call, with a Tensor for each tensor.
            kwargs: keyword arguments, likewise.
            reason: why the call has no lowering.

        Raises:
            Unsupported: tf2onnx can't convert it either, or only to operators that no runtime has.
        """
        args, kwargs = keras.tree.map_structure(
            lambda x: g.keras_layout(x) if isinstance(x, Tensor) else x, (args, kwargs)
        )
        tensors = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Tensor)]
        model = _convert(g, layer, args, kwargs, tensors, reason)
        outputs = _inline(g, model, [x.value for x in tensors])
        self.reasons.append(str(reason))
        return [
            g.tensor(value, shape, dtype=dtype)
            for value, shape, dtype in zip(outputs, g.output_shapes, g.output_dtypes, strict=True)
        ]


def _convert(
    g: Builder, layer: Any, args: Any, kwargs: Any, tensors: list[Tensor], reason: Unsupported
) -> ir.Model:
    if keras.backend.backend() != "tensorflow":
        raise reason
    import tensorflow as tf
    import tf2onnx

    call = in_inference(layer) if isinstance(layer, keras.Layer) else layer
    is_other = isinstance(layer, keras.Layer) and bool(other_policies(layer))
    specs = [
        tf.TensorSpec(x.shape, _graph_dtype(x.dtype), name=f"input{index}") for index, x in enumerate(tensors)
    ]

    @tf.function(input_signature=specs)
    def function(*values: Any) -> list[Any]:
        given = iter(values)

        def value_of(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            return tf.cast(next(given), "float32" if is_other and is_float(x.dtype) else x.dtype)

        structured_args, structured_kwargs = keras.tree.map_structure(value_of, (args, kwargs))
        outputs = keras.tree.flatten(call(*structured_args, **structured_kwargs))
        return [tf.cast(x, _graph_dtype(x.dtype.name)) for x in outputs]

    try:
        opset = min(g.opset, TF2ONNX_HIGHEST_OPSET)
        with in_precision(layer, "float32") if is_other else contextlib.nullcontext():
            proto, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=opset)
        if opset < g.opset:
            proto = onnx.version_converter.convert_version(proto, g.opset)
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # tf2onnx raises anything, and onnx's errors have no common base
        raise Unsupported(f"{reason}; tf2onnx: {reason_of(error)}") from error
    domains = {entry.domain for entry in proto.opset_import if entry.domain not in ("ai.onnx", *_DOMAINS)}
    used = {node.domain for node in proto.graph.node} & domains
    if used or proto.functions or len(proto.graph.input) != len(specs):
        raise Unsupported(f"{reason}; tf2onnx: its graph has operators or inputs of its own")
    return ir.from_proto(proto)


def _graph_dtype(dtype: str) -> str:
    return "string" if dtype == "string" else onnx_dtype(dtype).numpy().name


def _inline(g: Builder, model: ir.Model, inputs: list[ir.Value]) -> list[ir.Value]:
    """Move the nodes of a model into the graph, with `inputs` in the place of its inputs; return its outputs."""
    graph = model.graph
    for domain, version in graph.opset_imports.items():
        if domain in _DOMAINS:
            g.graph.opset_imports.setdefault(domain, version)
    outputs = list(graph.outputs)
    graph.outputs.clear()
    for value, given in zip(graph.inputs, inputs, strict=True):
        for user, index in tuple(value.uses()):
            user.replace_input_with(index, given)
        outputs = [given if output is value else output for output in outputs]
    for name, value in list(graph.initializers.items()):
        del graph.initializers[name]
        value.name = g.unique_name(name)
        g.graph.register_initializer(value)
    for node in list(graph):
        graph.remove(node)
        node.name = g.unique_name(node.op_type)
        for value in node.outputs:
            value.name = g.unique_name(value.name or node.op_type)
            value.shape = None  # tf2onnx names the dynamic dimensions, each graph's in its own way
        g.graph.append(node)
    return outputs
