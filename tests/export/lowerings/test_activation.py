"""Activations against Keras: by name, as layers, as operations."""

import functools
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import UserError
from export.lowerings.activation import BY_NAME
from tests.export.helpers import (
    check_operation,
    compare,
    converted,
    functional,
    in_either_layout,
    kinds,
    random_array,
    randomize,
    run,
)

L = keras.layers

ACTIVATIONS = sorted(
    name
    for name in dir(keras.activations)
    if not name.startswith("_") and name not in ("deserialize", "get", "serialize", "threshold")
)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("given", ["vector", "image"])
def test_activation_by_name(name: str, given: str) -> None:
    layers = [L.Conv2D(6, 3)] if given == "image" else []
    converted(functional((6, 5, 6) if given == "image" else (6,), *layers, L.Activation(name)))


def test_other_functions_and_layers_as_activations() -> None:
    def relu(x: Any) -> Any:
        return x * 2

    assert "relu" in BY_NAME
    vector = keras.Input((4,), name="x")
    image = keras.Input((7, 8, 3), name="image")
    outputs = [
        L.Activation(relu)(vector),
        L.Dense(3, activation=L.LeakyReLU(negative_slope=0.1))(vector),
        L.Conv2D(3, 2, activation=lambda x: keras.activations.gelu(x, approximate=True))(image),
    ]
    converted(randomize(keras.Model([vector, image], outputs)))


def test_function_that_is_not_of_keras_is_unsupported() -> None:
    model = functional((4,), L.Activation("relu"))
    model.layers[-1].activation = np.tanh
    with pytest.raises(UserError, match="its call can't be traced into keras"):
        convert(model, Options(route="direct"))


@pytest.mark.parametrize(
    "layer",
    [
        L.ReLU(),
        L.ReLU(max_value=1.0),
        L.ReLU(negative_slope=0.1),
        L.ReLU(threshold=0.5),
        L.ReLU(max_value=1.0, negative_slope=0.2, threshold=0.3),
        L.LeakyReLU(negative_slope=0.3),
        L.ELU(alpha=0.7),
        L.PReLU(),
        L.PReLU(shared_axes=[1, 2]),
    ],
    ids=lambda layer: layer.name,
)
def test_activation_layer(layer: Any) -> None:
    model = functional((5, 6, 4), L.Conv2D(4, 3, padding="same"), layer.from_config(layer.get_config()))
    converted(model)


@pytest.mark.parametrize("shared_axes", [None, [1, 2]])
def test_prelu_after_a_convolution_writes_no_transpose(shared_axes: list[int] | None) -> None:
    layers = [L.Conv2D(4, 3), L.PReLU(shared_axes=shared_axes), L.Conv2D(2, 2), L.GlobalMaxPooling2D()]
    operators = kinds(converted(functional((5, 6, 1), *layers)))
    expected = ["Reshape", "Conv", "Min", "Mul", "Relu", "Add", "Conv", "GlobalMaxPool", "Flatten"]
    assert sorted(operators) == sorted(expected)


def test_prelu_with_one_slope_is_a_leaky_relu() -> None:
    model = functional((5, 6, 1), L.Conv2D(4, 3), L.PReLU(shared_axes=[1, 2, 3]), L.GlobalMaxPooling2D())
    assert kinds(converted(model)) == ["Reshape", "Conv", "LeakyRelu", "GlobalMaxPool", "Flatten"]


CASES = {
    "relu gelu silu softplus elu": lambda x: (
        ops.relu(x) + ops.gelu(x) + ops.silu(x) + ops.softplus(x) + ops.elu(x, 0.7)
    ),
    "relu6 hard_silu leaky_relu selu": lambda x: (
        ops.relu6(x * 4) + ops.hard_silu(x) + ops.leaky_relu(x, 0.3) + ops.selu(x)
    ),
    "glu": lambda x: ops.glu(x)[..., :1] + ops.glu(x[:, :4], axis=1)[:, :1],
    "celu hard_tanh log_sigmoid softsign": lambda x: (
        ops.celu(x, 0.7) + ops.hard_tanh(x) + ops.log_sigmoid(x) + ops.softsign(x)
    ),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("approximate", [False, True])
def test_gelu(approximate: bool, opset: int) -> None:
    inputs = keras.Input((6,), name="x")
    model = randomize(keras.Model(inputs, ops.gelu(inputs, approximate=approximate)))
    kinds = [node.op_type for node in converted(model, opset=opset).model.graph.node]
    assert ("Gelu" in kinds) == (opset >= 20)
    assert ("Erf" in kinds) == (opset < 20 and not approximate)


def test_options() -> None:
    options: dict[str, dict[str, float]] = {
        "squareplus": {"b": 2},
        "soft_shrink": {"threshold": 0.2},
        "hard_shrink": {"threshold": 1.0},
        "threshold": {"threshold": 0.3, "default_value": -1.0},
        "celu": {"alpha": 0.5},
        "elu": {"alpha": 0.5},
        "leaky_relu": {"negative_slope": 0.3},
        "gelu": {"approximate": False},
    }
    compare(
        {name: functools.partial(getattr(ops, name), **kwargs) for name, kwargs in options.items()},
        np.array([[-30, -1.0, -0.5, -0.2, 0, 0.1, 0.3, 0.5, 1, 30]], "float32"),
    )


@pytest.mark.parametrize("opset", [17, 18])
def test_glu_along_dynamic_dimension(opset: int) -> None:
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, ops.glu(x, axis=1))
    conversion = convert(model, Options(route="direct", opset=opset))
    array = random_array(2, 6, 3)
    np.testing.assert_allclose(run(conversion, array)[0], model(array), rtol=1e-5, atol=1e-6)
