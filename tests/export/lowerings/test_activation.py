"""Activations against Keras: by name, as layers, as operations."""

from typing import Any

import keras
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import UserError
from export.lowerings.activation import BY_NAME
from tests.export.helpers import check_operation, converted, functional, in_either_layout, kinds, randomize

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


def test_another_function_of_the_same_name_is_unsupported() -> None:
    def relu(x: Any) -> Any:
        return x * 2

    assert "relu" in BY_NAME
    model = functional((4,), L.Activation(relu, name="mine"))
    with pytest.raises(
        ValueError, match=r"layer 'mine' \(Activation\): activation 'relu', which is not one of Keras' own"
    ):
        converted(model)


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
        L.Softmax(),
        L.Softmax(axis=1),
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


def test_softmax_with_mask() -> None:
    inputs = keras.Input((7,), name="x")
    model = keras.Model(inputs, L.Softmax()(inputs, mask=inputs > -0.5))
    conversion = converted(model, route="auto")
    # Newer versions of Keras pass the mask on to the layers that follow, which the direct route doesn't support.
    assert conversion.route == "direct" or "it passes a mask to the layers that follow" in conversion.reason


def test_softmax_over_several_axes_is_unsupported() -> None:
    with pytest.raises(UserError, match=r"a softmax over several axes \[1, 2\]"):
        converted(functional((5, 6), L.Softmax(axis=[1, 2])))


@pytest.mark.parametrize("name", ["glu", "sparsemax"])
def test_activation_along_dynamic_dimension_is_unsupported(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} along a dynamic dimension"):
        convert(functional((3, None), L.Activation(name)), Options(route="direct"))


CASES = {
    "relu gelu silu softplus elu": lambda x: (
        ops.relu(x) + ops.gelu(x) + ops.silu(x) + ops.softplus(x) + ops.elu(x, 0.7)
    ),
    "relu6 hard_silu leaky_relu selu": lambda x: (
        ops.relu6(x * 4) + ops.hard_silu(x) + ops.leaky_relu(x, 0.3) + ops.selu(x)
    ),
    "softmax": lambda x: ops.softmax(x, axis=-1) + ops.softmax(x, axis=1) + ops.log_softmax(x),
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
