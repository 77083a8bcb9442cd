"""Convert a Keras model to ONNX, by our own lowerings or, for layers without one, by tf2onnx."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

import keras
import numpy as np
import onnx
import onnx_ir as ir

from export.builder import Builder, Tensor, onnx_dtype
from export.errors import Unsupported, UserError
from export.lower import lower_model
from export.passes.fold_affine import Report, fold_affine
from export.passes.legalize import expand
from export.passes.simplify_layout import tidy

DEFAULT_OPSET, PORTABLE_OPSET = 17, 21
LOWEST_OPSET, HIGHEST_OPSET = 13, 23
TF2ONNX_HIGHEST_OPSET = 18

Route = Literal["auto", "direct", "tf2onnx"]


@dataclass(frozen=True)
class Options:
    """How to convert.

    Attributes:
        route: 'direct' by our lowerings, 'tf2onnx', or 'auto': direct where every layer has a lowering.
        opset: version of the standard operators; None: 17, or 21 if portable.
        portable: standard operators only where the fast form is made for onnxruntime's CPU provider.
        input_layout: 'nhwc', as Keras has its images, or 'nchw'.
        raw_pixels: the graph takes uint8 in place of float32.
        batch: fixed batch size; None: open.
        input_range: lowest and highest value of an input; None: 0..255 if the model rescales its input
            itself, else 0..1.
        class_names: a name for each class.
        fold: fold what is affine into its neighbours.
    """

    route: Route = "auto"
    opset: int | None = None
    portable: bool = False
    input_layout: Literal["nhwc", "nchw"] = "nhwc"
    raw_pixels: bool = False
    batch: int | None = None
    input_range: tuple[float, float] | None = None
    class_names: tuple[str, ...] | None = None
    fold: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.opset is not None and not LOWEST_OPSET <= self.opset <= HIGHEST_OPSET:
            raise UserError(f"opset: expected {LOWEST_OPSET} to {HIGHEST_OPSET}, got {self.opset}")
        if self.batch is not None and self.batch < 1:
            raise UserError(f"batch: expected 1 or more, got {self.batch}")


@dataclass
class Conversion:
    """A converted model.

    Attributes:
        model: the ONNX model.
        route: 'direct' or 'tf2onnx'.
        reason: why the route is tf2onnx; empty for direct.
        folds: what was folded and what was not.
        inputs: name of each input of the graph, in Keras' order.
        outputs: name of each output, likewise.
        input_range: lowest and highest value of an input.
        layers: for `layerwise`: the Keras layer behind each output.
    """

    model: onnx.ModelProto
    route: str
    reason: str
    folds: Report
    inputs: list[str]
    outputs: list[str]
    input_range: tuple[float, float]
    layers: list[str] = field(default_factory=list)

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))


def convert(model: keras.Model, options: Options | None = None) -> Conversion:
    """Convert a Keras model to ONNX.

    Raises:
        UserError: the model can't be converted by the route asked for; the message names the layer.
    """
    options = options or Options()
    reason = ""
    if options.route != "tf2onnx":
        try:
            return _convert_direct(model, options)
        except Unsupported as error:
            if options.route == "direct":
                raise UserError(
                    f"the direct route can't take {error}; --route auto takes tf2onnx for it"
                ) from error
            reason = str(error)
    else:
        reason = "asked for"
    return _convert_by_tf2onnx(model, options, reason)


def convert_layerwise(model: keras.Model, options: Options) -> Conversion:
    """The direct route without folds, with the output of every layer as an output of the graph."""
    try:
        return _convert_direct(model, options, layerwise=True)
    except Unsupported as error:
        raise UserError(f"layerwise: expected a model of the direct route, got {error}") from error


def _input_names(model: keras.Model) -> list[str]:
    return [tensor.name for tensor in keras.tree.flatten(model.inputs)]


def _output_names(model: keras.Model) -> list[str]:
    """'probabilities' for a single softmax, else the name of the layer that made the output."""
    outputs = keras.tree.flatten(model.outputs)
    names: list[str] = []
    for tensor in outputs:
        layer = tensor._keras_history.operation
        function = getattr(layer, "activation", None)
        is_softmax = isinstance(layer, keras.layers.Softmax) or function is keras.activations.softmax
        name = "probabilities" if is_softmax and len(outputs) == 1 else str(layer.name)
        while name in names or name in _input_names(model):
            name += "_1"
        names.append(name)
    return names


def rescales_its_input(model: keras.Model) -> bool:
    """Whether the first layer after an input brings pixels to another scale."""
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    for layer in getattr(model, "layers", []):
        if isinstance(layer, kinds):
            return True
        if isinstance(layer, keras.Model):
            return rescales_its_input(layer)
        if not isinstance(layer, (keras.layers.InputLayer, keras.layers.ZeroPadding2D)):
            return False
    return False


def _input_range(model: keras.Model, options: Options) -> tuple[float, float]:
    if options.input_range is not None:
        return options.input_range
    return (0.0, 255.0) if options.raw_pixels or rescales_its_input(model) else (0.0, 1.0)


def _convert_direct(model: keras.Model, options: Options, layerwise: bool = False) -> Conversion:
    opset = options.opset or (PORTABLE_OPSET if options.portable else DEFAULT_OPSET)
    g = Builder(opset)
    tensors: list[Tensor] = []
    if not getattr(model, "inputs", None):
        raise Unsupported(f"model {model.name!r}: it has no fixed inputs")
    for symbolic in keras.tree.flatten(model.inputs):
        tensors.append(_graph_input(g, symbolic, options))
    observed: list[tuple[str, Tensor]] = []

    def observe(name: str, outputs: list[Tensor]) -> None:
        observed.extend((name, output) for output in outputs)

    outputs = lower_model(g, model, tensors, observe if layerwise else None)
    names = _output_names(model)
    if layerwise:
        names, outputs = (
            [f"{index}:{name}" for index, (name, _) in enumerate(observed)],
            [t for _, t in observed],
        )
    g.scope = "outputs"
    for name, output in zip(names, outputs, strict=True):
        # An Identity gives the output its name; `tidy` takes out those that are not needed.
        value = g.op("Identity", g.keras_layout(output).value)
        value.name = name
        value.type = ir.TensorType(onnx_dtype(output.dtype))
        value.shape = ir.Shape(_open_axes(output.shape, options.batch, name))
        g.graph.outputs.append(value)
    report = fold_affine(g.graph) if options.fold and not layerwise else Report()
    expand(g.graph, portable=options.portable)
    result = ir.Model(g.graph, ir_version=_ir_version(opset), producer_name="kerasnorm")
    if not layerwise:
        tidy(result)
    for node in g.graph:
        for value in node.outputs:  # shapes were for the folds; without types they can't be written
            if not value.is_graph_output():
                value.shape = None
    proto = ir.to_proto(result)
    conversion = Conversion(
        proto,
        "direct",
        "",
        report,
        [value.name or "" for value in g.graph.inputs],
        [value.name or "" for value in result.graph.outputs],
        _input_range(model, options),
        [name for name, _ in observed],
    )
    return _finish(model, conversion, options)


def _graph_input(g: Builder, symbolic: Any, options: Options) -> Tensor:
    shape = tuple(symbolic.shape)
    is_float = str(symbolic.dtype).startswith(("float", "bfloat"))
    dtype = ir.DataType.UINT8 if options.raw_pixels and is_float else onnx_dtype(str(symbolic.dtype))
    nchw = options.input_layout == "nchw" and len(shape) >= 3
    held = (shape[0], shape[-1], *shape[1:-1]) if nchw else shape
    value = ir.Value(
        name=symbolic.name,
        type=ir.TensorType(dtype),
        shape=ir.Shape(_open_axes(held, options.batch, symbolic.name)),
    )
    g.graph.inputs.append(value)
    if dtype == ir.DataType.UINT8:
        g.scope = symbolic.name
        value = g.op("Cast", value, to=int(ir.DataType.FLOAT))
        g.scope = ""
    return Tensor(value, shape, channels_first=nchw, dtype=str(symbolic.dtype))


def _open_axes(shape: Sequence[int | None], batch: int | None, name: str) -> list[int | str]:
    first: int | str = "batch" if batch is None else batch
    return [
        (first if axis == 0 and size is None else f"{name}_axis{axis}") if size is None else size
        for axis, size in enumerate(shape)
    ]


def _ir_version(opset: int) -> int:
    entries = [onnx.helper.make_opsetid("", opset)]
    return int(onnx.helper.find_min_ir_version_for(entries))


def _convert_by_tf2onnx(model: keras.Model, options: Options, reason: str) -> Conversion:
    if keras.backend.backend() != "tensorflow":
        raise UserError(f"tf2onnx: expected Keras on TensorFlow, got {keras.backend.backend()}; {reason}")
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
    specs, names = [], _input_names(model)
    for tensor in symbolic:
        shape = [options.batch, *tensor.shape[1:]]
        if options.input_layout == "nchw" and len(shape) >= 3:
            shape = [shape[0], shape[-1], *shape[1:-1]]
        dtype = "uint8" if options.raw_pixels and "float" in str(tensor.dtype) else tensor.dtype
        specs.append(tf.TensorSpec(shape, dtype, name=tensor.name))

    @tf.function(input_signature=specs)
    def call(*inputs: Any) -> Any:
        values = []
        for value, tensor in zip(inputs, symbolic, strict=True):
            if options.input_layout == "nchw" and len(tensor.shape) >= 3:
                value = tf.transpose(value, [0, *range(2, len(tensor.shape)), 1])
            values.append(tf.cast(value, tensor.dtype))
        structured = keras.tree.pack_sequence_as(model.inputs, values) if len(values) > 1 else values[0]
        return keras.tree.flatten(model(structured, training=False))

    try:
        proto, _ = tf2onnx.convert.from_function(call, input_signature=specs, opset=opset)
    except Exception as error:
        raise UserError(f"neither route can convert the model: {reason}; tf2onnx: {error}") from error
    if model.outputs is not None and len(keras.tree.flatten(model.outputs)) == len(proto.graph.output):
        outputs = _output_names(model)
    else:
        outputs = [f"output{index}" for index in range(len(proto.graph.output))]
    graph_names = [value.name for value in proto.graph.input] + [value.name for value in proto.graph.output]
    _rename(proto, dict(zip(graph_names, names + outputs, strict=True)), options.batch)
    range_ = _input_range(model, options)
    return _finish(model, Conversion(proto, "tf2onnx", reason, Report(), names, outputs, range_), options)


def _rename(proto: onnx.ModelProto, names: dict[str, str], batch: int | None) -> None:
    for node in proto.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in [*proto.graph.input, *proto.graph.output]:
        value.name = names.get(value.name, value.name)
        axes = value.type.tensor_type.shape.dim
        if len(axes) and batch is None and not axes[0].HasField("dim_value"):
            axes[0].dim_param = "batch"


def _finish(model: keras.Model, conversion: Conversion, options: Options) -> Conversion:
    """Add the metadata and have onnx check the graph."""
    low, high = conversion.input_range
    set_metadata(
        conversion.model,
        {
            "model": model.name,
            "exporter": f"kerasnorm {version('kerasnorm')}",
            "keras": keras.__version__,
            "onnx": onnx.__version__,
            "opset": str(conversion.opset),
            "route": conversion.route,
            "input_layout": options.input_layout,
            "input_range": json.dumps([low, high]),
            **({"class_names": json.dumps(options.class_names)} if options.class_names else {}),
        },
    )
    if conversion.model.ByteSize() < onnx.checker.MAXIMUM_PROTOBUF:
        onnx.checker.check_model(conversion.model, full_check=True)
    return conversion


def set_metadata(model: onnx.ModelProto, entries: dict[str, str]) -> None:
    """Add entries to the model's metadata."""
    for key, value in entries.items():
        entry = next((e for e in model.metadata_props if e.key == key), None) or model.metadata_props.add()
        entry.key, entry.value = key, value


def count_nodes(model: onnx.ModelProto) -> dict[str, int]:
    """How many nodes of each kind the graph has."""
    kinds = np.array([node.op_type for node in model.graph.node])
    return {str(kind): int((kinds == kind).sum()) for kind in np.unique(kinds)}
