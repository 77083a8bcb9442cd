"""convert: which route a model takes, and whole models."""

from typing import Any

import keras
import numpy as np
import pytest

from export.convert import Options, convert, convert_layerwise
from export.errors import Unsupported, UserError
from export.lowerings import Registry
from kerasnorm import build_cnn
from tests.export.helpers import (
    converted,
    functional,
    kinds,
    make_gammas_positive,
    random_array,
    randomize,
    run,
)

L = keras.layers


@pytest.mark.parametrize(("norm", "nodes"), [("bn", 16), ("ln", 26), ("gn", 31)])
def test_cnn_has_few_nodes_and_no_transpose(norm: str, nodes: int) -> None:
    model = make_gammas_positive(randomize(build_cnn(norm)))  # so that they move past the pool
    conversion = converted(model, input_range=(0.0, 255.0))
    assert conversion.folds.refused == ()
    assert len(kinds(conversion)) == nodes
    assert "Transpose" not in kinds(conversion)
    assert ("BatchNormalization" in kinds(conversion)) is False
    assert (conversion.inputs, conversion.outputs) == (["image"], ["probabilities"])


@keras.saving.register_keras_serializable("tests")
class Sums(keras.layers.Layer):
    """Computed by TensorFlow, which can't compute with symbolic tensors."""

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return tf.cumsum(x, axis=-1)


def test_unsupported_layer_alone_is_converted_by_tf2onnx() -> None:
    model = functional(
        (6, 6, 3), L.Conv2D(4, 3), Sums(name="sums"), L.Flatten(), L.Dense(3, activation="softmax")
    )
    with pytest.raises(
        ValueError,
        match=r"layer 'sums' \(Sums\): its call can't be traced .*; add a lowering with export.low",
    ) as raised:
        converted(model)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value.__cause__, Unsupported)
    conversion = converted(model, route="auto")
    assert conversion.route == "mixed"
    assert "layer 'sums' (Sums)" in conversion.reason
    assert "Conv" in kinds(conversion)
    assert "CumSum" in kinds(conversion)
    assert (conversion.inputs, conversion.outputs) == (["x"], ["probabilities"])
    x = random_array(3, 6, 6, 3)
    np.testing.assert_allclose(run(conversion, x)[0], model(x), rtol=1e-4, atol=1e-5)


def test_supported_model_takes_the_direct_route_by_default() -> None:
    conversion = convert(functional((4,), L.Dense(3)))
    assert (conversion.route, conversion.reason) == ("direct", "")
    assert conversion.options == Options()


def test_convert_layerwise() -> None:
    model = functional((6, 6, 3), L.Conv2D(4, 3, name="conv"), L.BatchNormalization(name="bn"))
    conversion = convert_layerwise(model, Options())
    assert conversion.layers == ["conv", "bn"]
    assert conversion.outputs == ["0:conv", "1:bn"]
    conv, bn = run(conversion, x := random_array(3, 6, 6, 3))
    expected = model.layers[1](x)
    np.testing.assert_allclose(conv, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bn, model.layers[2](expected), rtol=1e-4, atol=1e-5)


def test_convert_layerwise_of_an_unsupported_layer() -> None:
    model = functional((4,), Sums(name="sums"))
    assert convert_layerwise(model, Options()).layers == ["sums"]
    with pytest.raises(
        UserError, match=r"layerwise: expected a model that the direct route supports, got layer 'sums'"
    ):
        convert_layerwise(model, Options(route="direct"))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda g, x: g.op("Transpose", x.value, perm=[0, 2, 1]),
            r"at node 'last/MatMul' \(MatMul\): .*a lowering, there",
        ),
        (
            lambda g, x: g.op("NoSuchOperator", x.value),
            r"at node 'own/NoSuchOperator' \(NoSuchOperator\): .*",
        ),
    ],
    ids=["shape", "operator"],
)
def test_graph_that_onnx_refuses_names_the_node(write: Any, message: str) -> None:
    mine = Registry()
    mine.register_lowering(L.ReLU)(lambda g, layer, x: g.result(write(g, x)))
    model = functional((6, 4), L.ReLU(name="own"), L.Dense(2, name="last"))
    with pytest.raises(UserError, match=rf"the direct route made a graph that onnx refuses {message}"):
        convert(model, Options(lowerings=mine))
