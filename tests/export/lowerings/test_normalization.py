"""Normalization against Keras: every layer and operation, over any axes."""

from collections.abc import Callable
from typing import Any

import keras
import onnx
import pytest
from keras import ops
from onnx import numpy_helper

from export.convert import Conversion, Options, convert
from export.errors import UserError
from tests.export.helpers import (
    CHANNELS,
    IMAGE_SHAPE,
    check_operation,
    converted,
    functional,
    in_either_layout,
    kinds,
    random_array,
    randomize,
)

L = keras.layers


@pytest.mark.parametrize("axis", [-1, 1, 2, 3])
@pytest.mark.parametrize("scale", [True, False])
def test_batch_normalization(axis: int, scale: bool) -> None:
    layer = L.BatchNormalization(axis=axis, scale=scale, center=scale, epsilon=0.01)
    converted(functional((5, 4, 6), L.Activation("tanh"), layer, L.Activation("tanh")))


@pytest.mark.parametrize("shape", [(6,), (5, 6)])
def test_batch_normalization_of_vectors(shape: tuple[int, ...]) -> None:
    converted(functional(shape, L.Activation("tanh"), L.BatchNormalization(), L.Activation("tanh")))


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 3, 6, -1])
@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_group_normalization(groups: int, axis: int, portable: bool) -> None:
    layer = L.GroupNormalization(groups=groups, axis=axis, epsilon=0.01)
    conversion = converted(functional((6, 6, 6), layer, L.Activation("tanh")), portable=portable)
    assert ("GroupNormalization" in kinds(conversion)) == portable


@pytest.mark.parametrize("shape", [(6,), (7, 6), (None, None, 6)])
@pytest.mark.parametrize("groups", [1, 3])
def test_group_normalization_of_other_ranks_and_dynamic_sizes(shape: Any, groups: int) -> None:
    converted(functional(shape, L.GroupNormalization(groups=groups), L.Activation("tanh")))


def test_group_normalization_without_gamma_and_beta() -> None:
    layer = L.GroupNormalization(groups=2, scale=False, center=False)
    converted(functional((5, 5, 6), layer, L.Activation("tanh")))


@pytest.mark.parametrize("axis", [-1, 1, 2, (1, 2), (2, 3), (1, 2, 3), (1, 3)])
@pytest.mark.parametrize("before", ["input", "convolution"])
def test_layer_normalization(axis: Any, before: str) -> None:
    first = L.Conv2D(4, 3, padding="same") if before == "convolution" else L.Activation("tanh")
    model = functional((5, 6, 4), first, L.LayerNormalization(axis=axis, epsilon=0.01), L.Activation("tanh"))
    assert kinds(converted(model)).count("LayerNormalization") == 1


@pytest.mark.parametrize("scale", [True, False])
def test_layer_normalization_without_gamma_or_beta(scale: bool) -> None:
    converted(functional((5, 6), L.LayerNormalization(scale=scale, center=not scale)))


def graph_of(conversion: Conversion) -> list[tuple[Any, ...]]:
    """Each node of a graph without names: operator, attributes and constant inputs."""
    graph = conversion.model.graph
    constants = {x.name: numpy_helper.to_array(x).tolist() for x in graph.initializer}
    return [
        (
            node.op_type,
            sorted((a.name, str(onnx.helper.get_attribute_value(a))) for a in node.attribute),
            [constants.get(name) for name in node.input],
        )
        for node in graph.node
    ]


@pytest.mark.parametrize("axis", [-1, 1, 2, (1, 2), (2, 3), (1, 2, 3), (1, 3)])
@pytest.mark.parametrize("before", ["input", "convolution"])
def test_layer_and_operation_write_the_same_layer_normalization(axis: Any, before: str) -> None:
    if not hasattr(ops, "layer_normalization"):
        pytest.skip("this Keras has no ops.layer_normalization")
    axes = [axis] if isinstance(axis, int) else list(axis)
    shape = [(1, *IMAGE_SHAPE)[one] for one in axes]
    gamma, beta = random_array(*shape, seed=1), random_array(*shape, seed=2)
    convolution = L.Conv2D(4, 3, padding="same")
    layer = L.LayerNormalization(axis=axis, epsilon=0.01)

    def model(normalize: Callable[[Any], Any]) -> keras.Model:
        x = inputs = keras.Input(IMAGE_SHAPE, name="x")
        x = convolution(x) if before == "convolution" else L.ReLU()(x)
        return keras.Model(inputs, L.ReLU()(normalize(x)))

    of_layer = model(layer)
    layer.set_weights([gamma, beta])
    of_operation = model(lambda x: ops.layer_normalization(x, gamma, beta, axis=axis, epsilon=0.01))
    written = graph_of(converted(of_layer))
    assert graph_of(convert(of_operation, Options(route="direct"))) == written
    assert [op_type for op_type, *_ in written].count("LayerNormalization") == 1


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), (1, 2, 3)])
def test_unit_normalization(axis: Any) -> None:
    converted(functional((5, 6, 4), L.Conv2D(4, 1), L.UnitNormalization(axis=axis), L.Conv2D(3, 1)))


@pytest.mark.parametrize("axis", [-1, (2, 3), (1, 2, 3)])
def test_rms_normalization(axis: Any) -> None:
    if not hasattr(L, "RMSNormalization"):
        pytest.skip("this Keras has no RMSNormalization")
    converted(functional((5, 6, 4), L.Conv2D(4, 1), L.RMSNormalization(axis=axis), L.Conv2D(3, 1)))


# Operations

CASES: dict[str, Callable[[Any], Any]] = {
    "batch_normalization": lambda x: ops.batch_normalization(x, *[ops.convert_to_tensor(CHANNELS)] * 2, -1),
    "normalize": lambda x: ops.normalize(x, axis=-1) + ops.normalize(x, axis=-1, order=1),
    "layer_normalization": lambda x: ops.layer_normalization(x, CHANNELS, CHANNELS),
    "rms_normalization": lambda x: ops.rms_normalization(x, CHANNELS),
}
MISSING_IN_LOWEST_KERAS = ("layer_normalization", "rms_normalization", "batch_normalization")


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    if name in MISSING_IN_LOWEST_KERAS:
        try:
            inputs = keras.Input(IMAGE_SHAPE)
            keras.Model(inputs, CASES[name](inputs))(ops.zeros((1, *IMAGE_SHAPE)))
        except (AttributeError, NotImplementedError) as error:
            pytest.skip(f"Keras {keras.__version__}: {str(error).splitlines()[0]}")
    check_operation(CASES[name], channels_first)


def test_batch_normalization_with_computed_mean_is_unsupported() -> None:
    with pytest.raises(UserError, match="a normalization with a computed mean"):
        check_operation(
            lambda x: ops.batch_normalization(
                x, ops.mean(x, axis=(0, 1, 2)), ops.convert_to_tensor(CHANNELS), -1
            )
        )


@in_either_layout
def test_normalize_of_order_3(channels_first: bool) -> None:
    check_operation(
        lambda x: ops.normalize(x, order=3) + ops.normalize(x * 0, axis=1, order=4), channels_first
    )


def test_layer_normalization_needs_opset_17() -> None:
    with pytest.raises(ValueError, match=r"ln: LayerNormalization needs opset 17, got 15; use --opset 17"):
        convert(functional((6,), L.LayerNormalization(name="ln")), Options(opset=15))


@pytest.mark.parametrize("name", ["LayerNormalization", "GroupNormalization"])
def test_integers_are_unsupported(name: str) -> None:
    x = keras.Input((4, 32), dtype="int32")
    with pytest.raises(UserError, match="int32 inputs, to which Keras truncates what it computes"):
        converted(keras.Model(x, getattr(L, name)()(x)))


def test_batch_normalization_of_integers() -> None:
    x = keras.Input((4, 3), dtype="uint8")
    converted(randomize(keras.Model(x, L.BatchNormalization()(x))))
