from typing import Any

import keras
import pytest

from export.keras2.config import to_keras_3


def layer(kind: str, name: str, inbound: list[Any], **config: Any) -> dict[str, Any]:
    """A layer of a Functional model, as Keras 2 writes it."""
    return {
        "class_name": kind,
        "config": {"name": name, **config},
        "name": name,
        "inbound_nodes": inbound,
    }


def functional(layers: list[dict[str, Any]], inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    ends = {
        "input_layers": [[name, 0, 0] for name in inputs],
        "output_layers": [[name, 0, 0] for name in outputs],
    }
    return {"class_name": "Functional", "config": {"name": "model", "layers": layers, **ends}}


def image(name: str) -> dict[str, Any]:
    return layer("InputLayer", name, [], batch_input_shape=[None, 8], dtype="float32")


def rebuild(config: dict[str, Any]) -> keras.Model:
    return keras.saving.deserialize_keras_object(to_keras_3(config))


def test_objects_get_their_module() -> None:
    config = layer(
        "Dense",
        "dense",
        [],
        units=2,
        kernel_initializer={"class_name": "GlorotUniform", "config": {"seed": None}},
        kernel_regularizer={"class_name": "L2", "config": {"l2": 0.01}},
        bias_constraint={"class_name": "NonNeg", "config": {}},
    )
    new = to_keras_3(config)
    assert new["module"] == "keras.layers"
    modules = {key: value["module"] for key, value in new["config"].items() if isinstance(value, dict)}
    assert modules == {
        "kernel_initializer": "keras.initializers",
        "kernel_regularizer": "keras.regularizers",
        "bias_constraint": "keras.constraints",
    }
    dense = keras.saving.deserialize_keras_object(new)
    assert dense.kernel_regularizer.l2 == pytest.approx(0.01, rel=1e-6)


def test_layer_of_tensorflow_addons_gets_its_registered_name() -> None:
    new = to_keras_3({"class_name": "Addons>GroupNormalization", "config": {"name": "gn", "groups": 2}})
    assert (new["module"], new["class_name"]) == (None, "GroupNormalization")
    assert new["registered_name"] == "Addons>GroupNormalization"


def test_dropped_arguments() -> None:
    config = layer("LSTM", "lstm", [], units=3, implementation=2, time_major=False)
    assert to_keras_3(config)["config"] == {"name": "lstm", "units": 3}


def test_time_major_is_an_error() -> None:
    with pytest.raises(ValueError, match="lstm: LSTM with time_major=True, which Keras 3 does not have"):
        to_keras_3(layer("LSTM", "lstm", [], units=3, time_major=True))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"class_name": "__tuple__", "items": [1, {"class_name": "__tuple__", "items": [2]}]}, [1, [2]]),
        ({"class_name": "Policy", "config": {"name": "mixed_float16"}}, "mixed_float16"),
        ({"axis": [3], "epsilon": 0.1}, {"axis": [3], "epsilon": 0.1}),
    ],
)
def test_values(old: Any, new: Any) -> None:
    assert to_keras_3(old) == new


def test_axis_of_batch_normalization_is_a_number() -> None:
    assert to_keras_3(layer("BatchNormalization", "bn", [], axis=[3]))["config"]["axis"] == 3


def test_single_ends_are_tensors() -> None:
    config = functional([image("x"), layer("Dense", "y", [[["x", 0, 0, {}]]], units=2)], ["x"], ["y"])
    model = rebuild(config)
    assert model(keras.ops.zeros((1, 8))).shape == (1, 2)


def test_layer_of_three_inputs() -> None:
    names = ["a", "b", "c"]
    config = functional(
        [*map(image, names), layer("Add", "sum", [[[name, 0, 0, {}] for name in names]])], names, ["sum"]
    )
    assert rebuild(config)([keras.ops.ones((1, 8))] * 3)[0, 0] == 3


@pytest.mark.parametrize("first", [0, 1])
def test_calls_of_a_sequential_model_count_from_0(first: int) -> None:
    inner = {
        "class_name": "Sequential",
        "config": {"name": "inner", "layers": [image("i"), layer("Dense", "d", [], units=8)]},
        "name": "inner",
        "inbound_nodes": [[["x", 0, 0, {}]], [["inner", first, 0, {}]]],
    }
    config = functional([image("x"), inner], ["x"], ["inner"])
    config["config"]["output_layers"] = [["inner", first + 1, 0]]
    new = to_keras_3(config)["config"]
    assert new["layers"][1]["inbound_nodes"][1] == [["inner", 0, 0, {}]]
    assert new["output_layers"] == ["inner", 1, 0]
