"""The direct route: lower a Keras model to a graph, and run the passes over it."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from export.builder import MIXED_ROWS, Builder, Tensor, onnx_dtype
from export.conversion import Options
from export.errors import OpsetTooLow, UserError
from export.layout import graph_shape, is_nchw
from export.lower import lower_model
from export.lowerings import DEFAULT
from export.onnx_graph import insert_node
from export.passes.cleanup import cleanup_pass
from export.passes.drop_lengths import DropLengthsPass
from export.passes.fold_affine import FoldAffinePass
from export.passes.legalize import LegalizePass
from export.passes.outcome import FoldReport
from export.passes.pad_into_window import PadIntoWindowPass
from export.passes.simplify_layout import SimplifyLayoutPass
from export.signature import input_names, named_dimensions, output_names, takes_uint8
from export.single_layer import SingleLayers
from export.weights_file import WeightsFile


@dataclass(frozen=True)
class DirectGraph:
    """An ONNX model that the direct route made.

    Attributes:
        model: the ONNX model, without metadata; without its large weights if `weights` has them.
        folds: what was folded, and what was not.
        by_tf2onnx: the layers that tf2onnx converted, each with the reason.
        layers: with `layerwise`, the Keras layer of each output.
        weights: the file with the large weights, or None.
    """

    model: onnx.ModelProto
    folds: FoldReport
    by_tf2onnx: list[str]
    layers: list[str]
    weights: WeightsFile | None


def convert_direct(model: keras.Model, options: Options, layerwise: bool = False) -> DirectGraph:
    """Lower a model and optimize the graph.

    Args:
        model: the Keras model.
        options: how to convert it.
        layerwise: make the output of every layer an output of the graph, and fold nothing.

    Raises:
        Unsupported: a layer has no lowering, and with route 'auto' tf2onnx can't convert it either. The message names
            it.
    """
    try:
        return _convert(model, options, layerwise, options.opset or options.runtime.opset)
    except OpsetTooLow as error:
        highest = options.runtime.highest_opset
        if error.needed > highest:
            raise UserError(
                f"target {options.target}: expected operators of opset {highest} or lower, got {error.what}, which "
                f"needs opset {error.needed}; choose another --target, or change the model"
            ) from error
        if options.opset is not None:
            raise
        return _convert(model, options, layerwise, error.needed)


def _convert(model: keras.Model, options: Options, layerwise: bool, opset: int) -> DirectGraph:
    g = Builder.of_new_graph(opset)
    inputs = [
        _graph_input(g, name, symbolic, options)
        for name, symbolic in zip(input_names(model), keras.tree.flatten(model.inputs), strict=True)
    ]
    observed: list[tuple[str, Tensor]] = []

    def observe(name: str, outputs: list[Tensor]) -> None:
        observed.extend((name, output) for output in outputs)

    registries = [registry for registry in (options.lowerings, DEFAULT) if registry is not None]
    single_layers = SingleLayers() if options.route == "auto" else None
    outputs = lower_model(g, model, inputs, registries, observe if layerwise else None, single_layers)
    names = output_names(model)
    if layerwise:
        outputs = [output for _, output in observed]
        names = [f"{index}:{name}" for index, (name, _) in enumerate(observed)]
    for name, output in zip(names, outputs, strict=True):
        _graph_output(g.for_call("outputs"), name, output, options)
    if MIXED_ROWS in g.graph.meta:
        _name_rows_apart(g.graph)
    ir_model = ir.Model(g.graph, ir_version=_ir_version(g.opset), producer_name="kerasnorm")
    report = _run_passes(ir_model, options, layerwise)
    by_tf2onnx = single_layers.reasons if single_layers is not None else []
    weights = WeightsFile.of(ir_model)
    return DirectGraph(ir.to_proto(ir_model), report, by_tf2onnx, [name for name, _ in observed], weights)


def _run_passes(model: ir.Model, options: Options, layerwise: bool) -> FoldReport:
    report = FoldReport()
    outputs = [(str(value.name), value.type, value.shape) for value in model.graph.outputs]
    if not layerwise:
        RemoveUnusedNodesPass()(model)  # a mask that no layer takes must not keep a fold from its neighbour
    if options.fold and not layerwise:
        report = FoldAffinePass().call(model).report
    DropLengthsPass(options.runtime.without)(model)
    LegalizePass(portable=options.runtime.portable)(model)
    if not layerwise:
        SimplifyLayoutPass()(model)
        PadIntoWindowPass()(model)
        cleanup_pass()(model)
    for index, (name, kind, shape) in enumerate(outputs):
        value = model.graph.outputs[index]
        if value.name != name:  # the output was merged with an equal value, which may be another output
            value = insert_node(model.graph, "Identity", [value], {}, name=name)
            model.graph.outputs[index] = value
        value.type, value.shape = kind, shape
    for node in model.graph.all_nodes():
        for value in node.outputs:  # without types, the shapes that the passes used can't be written
            if not value.is_graph_output():
                value.shape = None
    return report


def _graph_input(g: Builder, name: str, symbolic: keras.KerasTensor, options: Options) -> Tensor:
    shape, dtype = tuple(symbolic.shape), str(symbolic.dtype)
    is_uint8, layout = takes_uint8(dtype, options), options.input_layout
    kind = ir.DataType.UINT8 if is_uint8 else _interface_dtype("float32" if dtype == "float64" else dtype)
    dimensions = ir.Shape(named_dimensions(graph_shape(shape, layout), options.batch, name))
    value = ir.Value(name=name, type=ir.TensorType(kind), shape=dimensions)
    g.graph.inputs.append(value)
    if kind != onnx_dtype(dtype):
        value = g.for_call(name).op("Cast", value, to=int(onnx_dtype(dtype)))
    return g.tensor(value, shape, is_nchw(len(shape), layout), dtype)


def _graph_output(g: Builder, name: str, output: Tensor, options: Options) -> None:
    kind, layout = _interface_dtype(output.dtype), options.output_layout
    output = g.channels_first(output) if is_nchw(output.rank, layout) else g.keras_layout(output)
    # An Identity gives the output its name. `cleanup` removes those that are not needed.
    is_same = kind == onnx_dtype(output.dtype)
    value = g.op("Identity" if is_same else "Cast", output.value, to=None if is_same else int(kind))
    value.name = name
    value.type = ir.TensorType(kind)
    value.shape = ir.Shape(named_dimensions(output.onnx_shape, options.batch, name))
    g.graph.outputs.append(value)


def _name_rows_apart(graph: ir.Graph) -> None:
    """Give the first dimension of each input and output a name of its own: a graph has more edges than nodes."""
    for value in (*graph.inputs, *graph.outputs):
        sizes = list(value.shape or ())
        if sizes and not isinstance(sizes[0], int):
            value.shape = ir.Shape([f"{value.name}_axis0", *sizes[1:]])


def _interface_dtype(dtype: str) -> ir.DataType:
    """The type of the graph's inputs and outputs: Keras' own, but float32 for bfloat16, which NumPy doesn't have."""
    names = {"float32": "FLOAT", "float64": "DOUBLE", "bfloat16": "FLOAT"}
    return ir.DataType[names.get(dtype, dtype.upper())]


def _ir_version(opset: int) -> int:
    return int(onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)]))
