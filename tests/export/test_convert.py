"""Whole graphs: nested and shared models, routes, layouts, names, metadata, refusals."""

import json
from typing import Any

import keras
import numpy as np
import onnx
import pytest

from export.convert import Options, convert
from export.lowerings import register_lowering
from kerasnorm import build_cnn
from tests.export.helpers import converted, functional, kinds, randomize, run

L = keras.layers


@pytest.mark.parametrize(("norm", "nodes"), [("bn", 16), ("ln", 26), ("gn", 31)])
def test_our_cnn_is_small_and_has_no_transpose(norm: str, nodes: int) -> None:
    model = randomize(build_cnn(norm))
    for weight in model.weights:
        if weight.name == "gamma":  # so that the pooling lets it pass
            weight.assign(np.abs(weight.numpy()))
    conversion = converted(model, input_range=(0.0, 255.0))
    assert conversion.folds.refused == ()
    assert len(kinds(conversion)) == nodes
    assert "Transpose" not in kinds(conversion)
    assert ("BatchNormalization" in kinds(conversion)) is False
    assert (conversion.inputs, conversion.outputs) == (["image"], ["probabilities"])


def test_sequential_and_nested_and_shared() -> None:
    block = keras.Sequential([L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU()], name="block")
    inner_input = keras.Input((6, 6, 4))
    inner = keras.Model(inner_input, block(L.GroupNormalization(2)(inner_input)), name="inner")
    x = keras.Input((6, 6, 4), name="x")
    y = inner(inner(x))  # shared with itself
    model = randomize(keras.Model(x, L.Dense(3)(L.GlobalAveragePooling2D()(L.Add()([y, inner(x)])))))
    converted(model)
    converted(randomize(keras.Sequential([keras.Input((6, 6, 4)), inner, L.Flatten(), L.Dense(2)])))


def test_several_inputs_and_outputs() -> None:
    a, b = keras.Input((6, 6, 3), name="left"), keras.Input((5,), name="right")
    y = L.Flatten()(L.Conv2D(2, 3)(a))
    z = L.Concatenate()([y, L.Dense(4)(b)])
    model = randomize(
        keras.Model([a, b], [L.Dense(3, name="one", activation="softmax")(z), L.ReLU(name="two")(y)])
    )
    conversion = converted(model)
    assert (conversion.inputs, conversion.outputs) == (["left", "right"], ["one", "two"])


def test_an_output_that_is_an_input_or_occurs_twice() -> None:
    x = keras.Input((4,), name="x")
    y = L.Dense(3)(x)
    converted(randomize(keras.Model(x, [y, L.Dropout(0.1)(y), L.Identity(name="same")(x)])))


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


def test_batch_axis_is_open_or_fixed() -> None:
    model = randomize(build_cnn("bn"))

    def batch(conversion: Any) -> list[Any]:
        graph = conversion.model.graph
        axes = [value.type.tensor_type.shape.dim[0] for value in (*graph.input, *graph.output)]
        return [axis.dim_value or axis.dim_param for axis in axes]

    assert batch(converted(model)) == ["batch", "batch"]
    assert batch(converted(model, batch=3)) == [3, 3]


def test_metadata() -> None:
    names = tuple("abcdefghij")
    conversion = converted(build_cnn("ln"), class_names=names, input_range=None)
    metadata = {entry.key: entry.value for entry in conversion.model.metadata_props}
    assert metadata["model"] == "cnn_ln"
    assert metadata["route"] == "direct"
    assert metadata["opset"] == "17"
    assert metadata["keras"] == keras.__version__
    assert json.loads(metadata["input_range"]) == [0, 255]
    assert json.loads(metadata["class_names"]) == list(names)


def test_portable_is_in_standard_operators() -> None:
    # The standard defines the variance of GroupNormalization as mean(x^2) - mean(x)^2, and so onnxruntime
    # computes it: hence the tolerance, which images of large mean and small variance need.
    conversion = converted(randomize(build_cnn("gn")), portable=True, atol=2e-4, rtol=1e-3)
    assert conversion.opset == 21
    assert kinds(conversion).count("GroupNormalization") == 5
    with pytest.raises(ValueError, match=r"norm0: GroupNormalization needs opset 21, got 17; use --opset 21"):
        convert(build_cnn("gn"), Options(portable=True, opset=17))


@pytest.mark.parametrize("opset", [13, 15, 18, 20, 21])
def test_opsets(opset: int) -> None:
    model = functional(
        (6, 6, 3), L.Conv2D(4, 3), L.UnitNormalization(), L.GroupNormalization(2), L.Activation("gelu")
    )
    assert converted(model, opset=opset).opset == opset


def test_an_opset_too_low_for_what_is_needed() -> None:
    with pytest.raises(ValueError, match=r"ln: LayerNormalization needs opset 17, got 15; use --opset 17"):
        convert(functional((6,), L.LayerNormalization(name="ln")), Options(opset=15))
    with pytest.raises(ValueError, match="opset: expected 13 to 23, got 7"):
        Options(opset=7)


@keras.saving.register_keras_serializable("tests")
class Sums(keras.layers.Layer):
    """Computed by TensorFlow, which symbolic tensors can't follow."""

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return tf.cumsum(x, axis=-1)


@keras.saving.register_keras_serializable("tests")
class Swish2(keras.layers.Layer):
    def __init__(self, beta: float = 1.5, **options: Any) -> None:
        super().__init__(**options)
        self.beta = beta

    def call(self, x: Any) -> Any:
        return x * keras.ops.sigmoid(self.beta * x)


def test_a_layer_without_lowering_goes_by_tf2onnx() -> None:
    model = functional(
        (6, 6, 3), L.Conv2D(4, 3), Sums(name="sums"), L.Flatten(), L.Dense(3, activation="softmax")
    )
    with pytest.raises(
        ValueError,
        match=r"layer 'sums' \(Sums\): its call can't be traced .*; add a lowering with export.low",
    ) as raised:
        converted(model)
    assert "\n" not in str(raised.value)
    conversion = converted(model, route="auto")
    assert conversion.route == "tf2onnx"
    assert "layer 'sums' (Sums)" in conversion.reason
    assert (conversion.inputs, conversion.outputs) == (["x"], ["probabilities"])
    x = np.random.default_rng(0).normal(size=(3, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(run(conversion, x)[0], model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"input_layout": "nchw"}, {"raw_pixels": True}, {"batch": 2}])
def test_the_tf2onnx_route_takes_the_same_options(options: dict[str, Any]) -> None:
    conversion = converted(randomize(build_cnn("bn")), route="tf2onnx", input_range=(0.0, 255.0), **options)
    first = conversion.model.graph.input[0].type.tensor_type.shape.dim[0]
    assert (first.dim_value or first.dim_param) == options.get("batch", "batch")


def test_a_lowering_of_ones_own() -> None:
    @register_lowering(Swish2, any_layout=True)
    def lower_swish2(g: Any, layer: Any, x: Any) -> Any:
        gate = g.op("Sigmoid", g.op("Mul", x.value, layer.beta))
        return g.like(x, g.op("Mul", x.value, gate))

    conversion = converted(functional((6, 6, 3), L.Conv2D(4, 3), Swish2(), L.Conv2D(2, 3)))
    assert conversion.route == "direct"
    assert kinds(conversion).count("Transpose") == 2


def test_a_subclass_of_a_keras_layer_is_not_taken_for_it() -> None:
    class Negative(keras.layers.ReLU):
        def call(self, x: Any) -> Any:
            return -super().call(x)

    assert kinds(converted(functional((4,), Negative()))) == ["Relu", "Neg"]


def test_training_inside_the_model_is_refused() -> None:
    x = keras.Input((6,))
    model = keras.Model(x, L.Dropout(0.5, name="always")(x, training=True))
    with pytest.raises(
        ValueError,
        match=r"layer 'always' \(Dropout\): expected a model for inference, got a layer that is called with",
    ):
        convert(model)


def test_a_model_without_a_graph() -> None:
    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x + 1

    with pytest.raises(ValueError, match=r"model .*: (it has no fixed inputs|expected fixed inputs)"):
        convert(Own())
    with pytest.raises(ValueError, match="it has no fixed inputs"):
        convert(keras.Sequential([L.Dense(3)]), Options(route="direct"))


def test_the_file_holds_no_operator_of_ours() -> None:
    for norm in ("bn", "ln", "gn"):
        model = functional(
            (8, 8, 3), *build_cnn(norm, (20, 20, 3)).layers[2:4], L.Conv2D(3, 3, padding="same")
        )
        domains = {node.domain for node in converted(model).model.graph.node}
        assert domains == {""}
