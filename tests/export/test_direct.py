"""The direct route: the graph's inputs, outputs, opset and operators."""

from typing import Any

import keras
import onnx
import pytest

from export.conversion import Conversion, Options
from export.direct import convert_direct
from export.parity import check_parity
from kerasnorm import build_cnn
from tests.export.helpers import converted, functional, kinds, randomize

L = keras.layers


def test_several_inputs_and_outputs() -> None:
    a, b = keras.Input((6, 6, 3), name="left"), keras.Input((5,), name="right")
    y = L.Flatten()(L.Conv2D(2, 3)(a))
    z = L.Concatenate()([y, L.Dense(4)(b)])
    model = randomize(
        keras.Model([a, b], [L.Dense(3, name="one", activation="softmax")(z), L.ReLU(name="two")(y)])
    )
    conversion = converted(model)
    assert (conversion.inputs, conversion.outputs) == (["left", "right"], ["one", "two"])


def test_output_that_is_an_input_or_occurs_twice() -> None:
    x = keras.Input((4,), name="x")
    y = L.Dense(3)(x)
    converted(randomize(keras.Model(x, [y, L.Dropout(0.1)(y), L.Identity(name="same")(x)])))


def test_outputs_that_become_equal_keep_their_names() -> None:
    x = keras.Input((6, 6, 3), name="x")
    y = L.Conv2D(4, 3)(x)
    conversion = converted(
        randomize(keras.Model(x, {"one": L.Identity()(y), "two": y, "three": L.ReLU()(y)}))
    )
    assert [value.name for value in conversion.model.graph.output] == ["one", "three", "two"]
    assert kinds(conversion).count("Transpose") <= 3


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_input_layout_and_raw_pixels(channels: int, raw: bool) -> None:
    model = randomize(build_cnn("gn", (20, 22, channels)))
    conversion = converted(model, input_layout="nchw", raw_pixels=raw, input_range=None)
    [value] = conversion.model.graph.input
    sizes = [axis.dim_value or axis.dim_param for axis in value.type.tensor_type.shape.dim]
    assert sizes == ["batch", channels, 20, 22]
    assert value.type.tensor_type.elem_type == (onnx.TensorProto.UINT8 if raw else onnx.TensorProto.FLOAT)
    assert "Transpose" not in kinds(conversion)
    assert conversion.input_range == (0.0, 255.0)


def test_output_layout() -> None:
    """Softmax over the channels, one over the features of a series, an index for each pixel, and a vector."""
    x, series = keras.Input((6, 5, 3), name="x"), keras.Input((None, 4), name="series")
    y = L.Conv2D(4, 3)(x)
    outputs = {
        "image": L.Softmax()(y),
        "flat": L.Dense(2)(L.GlobalAveragePooling2D()(y)),
        "index": keras.ops.argmax(y, axis=-1),
        "series": L.Conv1D(3, 1, activation="softmax")(series),
    }
    model = randomize(keras.Model([x, series], outputs))
    conversion = converted(model, input_layout="nchw", output_layout="nchw")
    assert {
        value.name: [axis.dim_value or axis.dim_param for axis in value.type.tensor_type.shape.dim]
        for value in conversion.model.graph.output
    } == {
        "image": ["batch", 4, 4, 3],
        "flat": ["batch", 2],
        "index": ["batch", 3, 4],
        "series_1": ["batch", 3, "series_1_axis2"],
    }
    shapes = [
        {name: x.shape for name, x in one.outputs.items()} for one in check_parity(model, conversion).examples
    ]
    assert shapes[0]["image"][1:] == (4, 4, 3)


def test_batch_dimension_is_dynamic_or_fixed() -> None:
    model = randomize(build_cnn("bn"))

    def batch(conversion: Conversion) -> list[Any]:
        graph = conversion.model.graph
        axes = [value.type.tensor_type.shape.dim[0] for value in (*graph.input, *graph.output)]
        return [axis.dim_value or axis.dim_param for axis in axes]

    assert batch(converted(model)) == ["batch", "batch"]
    assert batch(converted(model, batch=3)) == [3, 3]


@pytest.mark.parametrize("opset", [13, 15, 18, 20, 21])
def test_opset(opset: int) -> None:
    model = functional(
        (6, 6, 3), L.Conv2D(4, 3), L.UnitNormalization(), L.GroupNormalization(2), L.Activation("gelu")
    )
    assert converted(model, opset=opset).opset == opset


def test_portable_graph_has_standard_operators() -> None:
    # The standard defines the variance of GroupNormalization as mean(x^2) - mean(x)^2, and so onnxruntime
    # computes it: hence the tolerance, which images of large mean and small variance need.
    conversion = converted(randomize(build_cnn("gn")), portable=True, atol=2e-4, rtol=1e-3)
    assert conversion.opset == 21
    assert kinds(conversion).count("GroupNormalization") == 5


def all_models() -> list[tuple[keras.Model, dict[str, Any]]]:
    models: list[tuple[keras.Model, dict[str, Any]]] = []
    for norm in ("bn", "ln", "gn"):
        layers = build_cnn(norm, (20, 20, 3)).layers[2:4]
        model = functional((8, 8, 3), *layers, L.Conv2D(3, 3, padding="same"))
        models += [(model, {}), (model, {"fold": False})]
    return models


def test_graph_has_no_internal_operators() -> None:
    for model, options in all_models():
        proto = converted(model, **options).model
        assert {node.domain for node in proto.graph.node} == {""}
        assert [entry.domain for entry in proto.opset_import] == [""]


def test_nodes_and_values_have_no_metadata() -> None:
    for model, options in all_models():
        graph = converted(model, **options).model.graph
        for part in (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info, graph):
            assert list(part.metadata_props) == []
        assert [node.doc_string for node in graph.node] == [""] * len(graph.node)


def test_names_of_nodes_begin_with_the_layer() -> None:
    model = functional((8, 8, 3), L.Conv2D(4, 3, name="conv", activation="relu"), L.Flatten(name="flat"))
    names = [node.name for node in converted(model).model.graph.node]
    assert names == ["conv/Transpose", "conv/Conv", "conv/Relu", "flat/Transpose", "flat/Reshape"]


def test_layerwise_graph_returns_every_layer_and_folds_nothing() -> None:
    model = functional((6, 6, 3), L.Conv2D(4, 3, name="conv"), L.BatchNormalization(name="bn"))
    graph = convert_direct(model, Options(), layerwise=True)
    assert graph.layers == ["conv", "bn"]
    assert [value.name for value in graph.model.graph.output] == ["0:conv", "1:bn"]
    assert "BatchNormalization" in [node.op_type for node in graph.model.graph.node]
    assert graph.folds.folded == ()
    assert list(graph.model.metadata_props) == []


def test_folds_are_reported() -> None:
    model = functional((6, 6, 3), L.Conv2D(4, 3, name="conv"), L.BatchNormalization(name="bn"))
    report = convert_direct(model, Options()).folds
    assert [str(fold) for fold in report.folded] == ["bn: into the preceding conv"]
    assert report.refused == ()


def test_integer_inputs_keep_their_type() -> None:
    inputs = keras.Input((4,), dtype="int32", name="x")
    proto = convert_direct(keras.Model(inputs, inputs + 1), Options(raw_pixels=True)).model
    assert proto.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.INT32
    assert proto.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.INT32


def test_output_that_equals_a_value_within_the_graph() -> None:
    x = keras.Input((4,), name="x")
    root = keras.ops.sqrt(x)
    conversion = converted(keras.Model(x, [keras.ops.sqrt(x), 1.0 / root]), input_range=(0.5, 2.0))
    assert kinds(conversion) == ["Sqrt", "Div"]
