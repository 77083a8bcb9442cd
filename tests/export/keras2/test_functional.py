import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from export.errors import UserError
from export.keras2.functional import build_model
from tests.export.keras2.fixtures import arrays_of, config_of, outputs_of


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


def image(name: str, **config: Any) -> dict[str, Any]:
    return layer("InputLayer", name, [], batch_input_shape=[None, 8], dtype="float32", **config)


def test_single_ends_are_tensors() -> None:
    config = functional([image("x"), layer("Dense", "y", [[["x", 0, 0, {}]]], units=2)], ["x"], ["y"])
    assert build_model(config)(keras.ops.zeros((1, 8))).shape == (1, 2)


def test_layer_of_three_inputs() -> None:
    names = ["a", "b", "c"]
    config = functional(
        [*map(image, names), layer("Add", "sum", [[[name, 0, 0, {}] for name in names]])], names, ["sum"]
    )
    assert build_model(config)([keras.ops.ones((1, 8))] * 3)[0, 0] == 3


@pytest.mark.parametrize("first", [0, 1])
def test_first_call_of_a_model_has_either_number(first: int) -> None:
    inner = {
        "class_name": "Sequential",
        "config": {"name": "inner", "layers": [image("i"), layer("Dense", "d", [], units=8)]},
        "name": "inner",
        "inbound_nodes": [[["x", 0, 0, {}]], [["inner", first, 0, {}]]],
    }
    config = functional([image("x"), inner], ["x"], ["inner"])
    config["config"]["output_layers"] = [["inner", first + 1, 0]]
    model = build_model(config)
    dense = model.get_layer("inner").layers[0]
    x = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    np.testing.assert_allclose(model(x), dense(dense(x)), rtol=1e-6, atol=1e-6)


def test_sequential_model_of_keras_2_2_is_a_list() -> None:
    config = {
        "class_name": "Sequential",
        "config": [layer("Dense", "d", [], units=2, batch_input_shape=[None, 3])],
    }
    assert build_model(config).output_shape == (None, 2)


def test_operations_have_the_names_of_their_layers() -> None:
    calls = [
        layer(
            "TFOpLambda",
            "tf.math.multiply",
            [["x", 0, 0, {"y": 2.0, "name": None}]],
            function="math.multiply",
        )
    ]
    config = functional(
        [image("x"), *calls, layer("Dense", "multiply", [[["tf.math.multiply", 0, 0, {}]]], units=2)],
        ["x"],
        ["multiply"],
    )
    assert [one.name for one in build_model(config).operations] == ["x", "tf.math.multiply", "multiply"]


def test_constant_first_argument() -> None:
    node = ["_CONSTANT_VALUE", -1, 1.0, {"y": ["x", 0, 0], "name": None}]
    call = layer("TFOpLambda", "tf.math.subtract", [node], function="math.subtract")
    model = build_model(functional([image("x"), call], ["x"], ["tf.math.subtract"]))
    assert model(keras.ops.full((1, 8), 3.0))[0, 0] == -2


def test_model_with_sizes_can_be_saved(tmp_path: Path) -> None:
    inputs, expected = arrays_of("sizes")
    build_model(config_of("sizes")).save(tmp_path / "sizes.keras")
    outputs = outputs_of(keras.models.load_model(tmp_path / "sizes.keras"), inputs)
    for output, one in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, one, rtol=2e-6, atol=2e-6)


def damaged() -> dict[str, Any]:
    return functional([image("x"), layer("Dense", "y", [[["y", 0, 0, {}]]], units=2)], ["x"], ["y"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (damaged(), "y: expected inputs that the model computes, got others: the file is damaged"),
        (functional([image("x", ragged=True)], ["x"], ["x"]), "x: expected a dense input, got a ragged one"),
        (
            {"class_name": "MyModel", "config": {"name": "m"}},
            "expected a Functional or Sequential model, got MyModel",
        ),
        (
            functional(
                [
                    image("x"),
                    layer("Mine>Layer", "y", [[["x", 0, 0, {}]]]),
                    layer("Dense", "d", [], activation="mine"),
                ],
                ["x"],
                ["y"],
            ),
            "it needs code that Keras does not have: Mine>Layer, mine; name the Python file with --import",
        ),
        (
            functional(
                [image("x"), layer("Dense", "y", [[["x", 0, 0, {"scale": 2}]]], units=2)], ["x"], ["y"]
            ),
            "y: expected arguments that Dense of Keras 3 takes in a call, got scale",
        ),
    ],
)
def test_what_is_wrong_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_model(json.loads(json.dumps(config)))
