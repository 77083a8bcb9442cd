"""Layers without a lowering are converted by tf2onnx, one by one, within a graph that is otherwise direct."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import UserError
from export.parity import check_parity
from tests.export.helpers import converted, functional, kinds, random_array, randomize, run

L = keras.layers


class Sums(keras.layers.Layer):
    """Computed by TensorFlow, which can't compute with symbolic tensors; it passes masks on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x: Any, mask: Any = None) -> Any:
        import tensorflow as tf

        if mask is not None:
            x = x * tf.cast(mask[..., tf.newaxis], x.dtype)
        return self.scale * tf.cumsum(x, axis=1)


class SumAndDifference(keras.layers.Layer):
    """Several inputs and outputs, in a dict."""

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        return {"sum": tf.add(inputs["a"], inputs["b"]), "difference": tf.subtract(inputs["a"], inputs["b"])}


class Around(keras.layers.Layer):
    """Operations of Keras around a layer that has no lowering."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sums = Sums(name="within")

    def call(self, x: Any) -> Any:
        return ops.relu(self.sums(x) + 1)


def test_rest_of_the_graph_is_direct_and_folded() -> None:
    layers = [
        L.Conv2D(4, 3),
        L.BatchNormalization(),
        Sums(name="sums"),
        L.Conv2D(3, 3),
        L.BatchNormalization(),
    ]
    conversion = converted(functional((8, 8, 3), *layers), route="auto")
    assert (conversion.route, conversion.reason.startswith("layer 'sums' (Sums): ")) == ("mixed", True)
    assert kinds(conversion).count("Conv") == 2
    assert "BatchNormalization" not in kinds(conversion)
    assert len(conversion.folds.folded) == 2


@pytest.mark.slow
def test_layer_within_a_custom_layer() -> None:
    conversion = converted(functional((5, 3), Around(name="around"), Sums(name="last")), route="auto")
    assert conversion.reason.startswith("layer 'around/within' (Sums): ")
    assert "; layer 'last' (Sums): " in conversion.reason


@pytest.mark.slow
def test_several_inputs_and_outputs() -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    outputs = SumAndDifference()({"a": L.Dense(4)(a), "b": b})
    model = randomize(keras.Model([a, b], [outputs["difference"], outputs["sum"]]))
    assert converted(model, route="auto").route == "mixed"


def test_masks_go_through() -> None:
    x = keras.Input((6,), dtype="int32", name="ids")
    y = L.GlobalAveragePooling1D()(Sums()(L.Embedding(5, 4, mask_zero=True)(x)))
    model = randomize(keras.Model(x, y))
    conversion = convert(model, Options())
    assert conversion.route == "mixed"
    ids = np.array([[1, 2, 0, 0, 3, 0], [0, 0, 4, 1, 1, 2], [1, 1, 1, 1, 1, 1]], np.int32)
    assert check_parity(model, conversion, data=[ids]).passed


@pytest.mark.slow
def test_dynamic_length() -> None:
    conversion = converted(functional((None, 3), Sums(), L.Dense(2)), route="auto")
    for length in (1, 5):
        assert run(conversion, random_array(2, length, 3))[0].shape == (2, length, 2)


class OwnDense(L.Dense):  # type: ignore[name-defined]
    """Quantized, it has no lowering."""


def test_quantized_model_is_converted_as_a_whole() -> None:
    model = functional((8,), L.Dense(16, activation="relu"), OwnDense(4))
    model.layers[-1].quantize("int8", type_check=False)
    conversion = convert(model)
    assert (conversion.route, "it is quantized to int8" in conversion.reason) == ("tf2onnx", True)
    assert check_parity(model, conversion).passed


def test_route_direct_converts_nothing_by_tf2onnx() -> None:
    with pytest.raises(UserError, match=r"the direct route doesn't support layer 'sums' \(Sums\): "):
        convert(functional((5, 3), Sums(name="sums")), Options(route="direct"))


@pytest.mark.slow
def test_higher_opset_than_that_of_tf2onnx() -> None:
    conversion = converted(functional((5, 3), L.Dense(4), Sums()), route="auto", portable=True)
    assert (conversion.route, conversion.opset) == ("mixed", 21)
