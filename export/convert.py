"""Convert a Keras model to ONNX, by the direct route. What it doesn't support is converted by tf2onnx."""

from __future__ import annotations

import re

import keras
import onnx

from export.conversion import Conversion, Options
from export.direct import convert_direct
from export.errors import Unsupported, UserError, reason_of
from export.interface import with_inputs
from export.metadata import count_nodes, describe, set_metadata
from export.signature import input_names, input_range, output_names
from export.targets import check_target
from export.tf2onnx_route import convert_by_tf2onnx

__all__ = ["Conversion", "Options", "convert", "convert_layerwise", "count_nodes", "set_metadata"]


def convert(model: keras.Model, options: Options | None = None) -> Conversion:
    """Convert a Keras model to ONNX.

    Raises:
        UserError: the requested route can't convert the model, or its inputs are not known. The message names the
            layer.
    """
    options = options or Options()
    model = with_inputs(model, options.inputs)
    reason = "requested"
    if options.route != "tf2onnx":
        try:
            return _finish(_direct(model, options), model)
        except Unsupported as error:
            if options.route == "direct":
                raise UserError(
                    f"the direct route doesn't support {error}; --route auto uses tf2onnx for it"
                ) from error
            reason = str(error)
    proto, outputs = convert_by_tf2onnx(model, options, reason)
    range_ = input_range(model, options)
    conversion = Conversion(proto, options, "tf2onnx", input_names(model), outputs, range_, reason)
    return _finish(conversion, model)


def convert_layerwise(model: keras.Model, options: Options) -> Conversion:
    """Convert by the direct route without folds, with the output of every layer as an output of the graph.

    Raises:
        UserError: the direct route can't convert the model.
    """
    model = with_inputs(model, options.inputs)
    try:
        return _finish(_direct(model, options, layerwise=True), model)
    except Unsupported as error:
        raise UserError(f"layerwise: expected a model that the direct route supports, got {error}") from error


def _direct(model: keras.Model, options: Options, layerwise: bool = False) -> Conversion:
    graph = convert_direct(model, options, layerwise)
    outputs = [value.name for value in graph.model.graph.output] if layerwise else output_names(model)
    return Conversion(
        graph.model,
        options,
        "mixed" if graph.by_tf2onnx else "direct",
        input_names(model),
        outputs,
        input_range(model, options),
        "; ".join(graph.by_tf2onnx),
        folds=graph.folds,
        layers=graph.layers,
        weights=graph.weights,
    )


def _finish(conversion: Conversion, model: keras.Model) -> Conversion:
    """Add the metadata, and check the graph: the target has what it uses, and onnx accepts it."""
    describe(conversion, model.name)
    proto, weights = conversion.proto, conversion.weights
    check_target(proto, conversion.options.target)
    if proto.ByteSize() < onnx.checker.MAXIMUM_PROTOBUF:
        try:
            onnx.checker.check_model(proto if weights is None else str(weights.save(proto)), full_check=True)
        except Exception as error:  # onnx's checker and shape inference have errors without a common base
            message = reason_of(error)
            node = _node_in_question(proto, str(error))
            where = f"onnx refuses at {node}: {message}"
            if conversion.route == "direct":
                text = (
                    f"the direct route made a graph that {where}; a lowering, there or in a preceding layer, writes "
                    "another shape or operator than it must"
                )
            else:
                text = f"{conversion.reason}; tf2onnx made a graph that {where}"
            raise UserError(f"model {model.name!r}: {text}") from error
    return conversion


def _node_in_question(model: onnx.ModelProto, message: str) -> str:
    """The node that an error of onnx is about: the one that it names, or the first of the operator that it names."""
    for attribute in ("name", "op_type"):
        for node in model.graph.node:
            text = getattr(node, attribute)
            if text and re.search(rf"(?<![\w/]){re.escape(text)}(?![\w/])", message):
                return f"node {node.name!r} ({node.op_type})"
    return "some node"
