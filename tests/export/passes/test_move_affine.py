"""Rules 3 to 6 of fold_affine: an Affine moves past a pool, a reshape or a transpose, or merges with another."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest

from export.passes.internal import Affine, as_affine
from export.passes.move_affine import move_past
from export.passes.outcome import Refusal
from tests.export.helpers import converted, functional, make_gammas_positive, normalization_operators
from tests.export.passes.graphs import Graph, op_types, rewritten, the_affine

L = keras.layers
POSITIVE, MIXED, SHIFT = [1.5, 0.5, 2.0], [1.5, -0.5, 2.0], [0.5, 0.0, -1.0]
OTHERWISE = Refusal("bn", "followed by something else")


def followed_by(
    op_type: str,
    *inputs: np.ndarray,
    shape: tuple[int, ...] = (3, 4, 6),
    scale: Any = MIXED,
    shift: Any = SHIFT,
    axis: int = 1,
    out: tuple[int, ...] | None = None,
    **attributes: Any,
) -> Callable[[], ir.Model]:
    """A model of an Affine and one more node."""

    def build() -> ir.Model:
        g = Graph(*shape)
        x = g.affine(g.op("relu", "Relu", g.x), scale, shift, axis)
        return g.model(g.op("next", op_type, x, *inputs, shape=out, **attributes))

    return build


def first_affine(model: ir.Model) -> Affine:
    return next(affine for affine in map(as_affine, model.graph) if affine is not None)


def move(model: ir.Model) -> Refusal | None:
    affine = first_affine(model)
    [use] = affine.output.uses()
    return move_past(model.graph, affine, use.node, OTHERWISE)


def check_moves(build: Callable[[], ir.Model], op_type: str) -> Affine:
    """Check that the Affine moves past its user; return it."""
    nodes, refusal = rewritten(build, move)
    assert refusal is None
    assert nodes == ["Relu", op_type, "Affine"]
    model = build()
    move(model)
    return the_affine(model)


def reason_to_stay(build: Callable[[], ir.Model]) -> str:
    """Check that nothing changes; return the reason."""
    model = build()
    nodes = op_types(model)
    refusal = move(model)
    assert op_types(model) == nodes
    assert refusal is not None
    assert refusal.layers == "bn"
    return refusal.reason


@pytest.mark.parametrize("pool", ["MaxPool", "GlobalMaxPool"])
def test_past_a_max_pool_with_positive_scale(pool: str) -> None:
    window: dict[str, Any] = {"kernel_shape": [2, 2]} if pool == "MaxPool" else {}
    moved = check_moves(followed_by(pool, scale=POSITIVE, **window), pool)
    assert (moved.scale.tolist(), moved.shift.tolist(), moved.axis) == (POSITIVE, SHIFT, 1)
    assert moved.layers == "bn"


@pytest.mark.parametrize("scale", [MIXED, [1.0, 0.0, 1.0]], ids=["negative", "zero"])
@pytest.mark.parametrize("pool", ["MaxPool", "GlobalMaxPool"])
def test_max_pool_blocks_scale_that_is_not_positive(pool: str, scale: list[float]) -> None:
    window: dict[str, Any] = {"kernel_shape": [2, 2]} if pool == "MaxPool" else {}
    assert reason_to_stay(followed_by(pool, scale=scale, **window)) == (
        "the following next takes maxima, and the scale is not positive for every channel"
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2]},
        {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]},
        {"kernel_shape": [2, 2], "pads": [0, 0, 0, 0], "count_include_pad": 1},
    ],
    ids=str,
)
def test_past_an_average_pool(attributes: dict[str, Any]) -> None:
    check_moves(followed_by("AveragePool", **attributes), "AveragePool")


def test_past_a_global_average_pool() -> None:
    check_moves(followed_by("GlobalAveragePool"), "GlobalAveragePool")


def test_average_pool_that_counts_zeros_blocks() -> None:
    build = followed_by("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1)
    assert reason_to_stay(build) == "the following next counts padded zeros"


def test_pool_along_the_axis_blocks() -> None:
    build = followed_by("MaxPool", shape=(4, 3, 6), axis=2, scale=POSITIVE, kernel_shape=[2, 2])
    assert reason_to_stay(build) == "the following next pools along that axis"


@pytest.mark.parametrize(("perm", "axis"), [([0, 2, 3, 1], 3), ([0, 1, 3, 2], 1), ([1, 0, 2, 3], 0)])
def test_past_a_transpose(perm: list[int], axis: int) -> None:
    assert check_moves(followed_by("Transpose", perm=perm), "Transpose").axis == axis


@pytest.mark.parametrize("op_type", ["Flatten", "Reshape"])
def test_past_a_flatten_repeats_each_channel(op_type: str) -> None:
    target = [np.array([-1, 72], np.int64)] if op_type == "Reshape" else []
    moved = check_moves(followed_by(op_type, *target, out=(72,)), op_type)
    assert moved.axis == 1
    assert moved.scale.tolist() == np.repeat(MIXED, 24).tolist()


def test_past_a_flatten_with_channels_last_repeats_all_channels() -> None:
    moved = check_moves(followed_by("Flatten", shape=(4, 6, 3), axis=3, out=(72,)), "Flatten")
    assert moved.scale.tolist() == MIXED * 24


def test_past_a_reshape_of_a_vector_to_an_image_and_back() -> None:
    to_image = followed_by("Reshape", np.array([-1, 1, 1, 3], np.int64), shape=(3,), out=(1, 1, 3))
    assert check_moves(to_image, "Reshape").axis == 3
    to_column = followed_by("Reshape", np.array([0, 3, 1], np.int64), shape=(1, 1, 3), axis=3, out=(3, 1))
    assert check_moves(to_column, "Reshape").axis == 1


def test_past_a_reshape_of_one_channel() -> None:
    target = np.array([-1, 4, 1, 6], np.int64)
    build = followed_by("Reshape", target, shape=(1, 4, 6), scale=[2.0], shift=[1.0])
    assert check_moves(build, "Reshape").axis == 2


@pytest.mark.parametrize("target", [(-1, 12, 6), (-1, 6, 4, 3)])
def test_reshape_that_mixes_the_channels_blocks(target: tuple[int, ...]) -> None:
    build = followed_by("Reshape", np.array(target, np.int64))
    assert reason_to_stay(build) == "the following next mixes the channels with other axes"


def test_flatten_of_dynamic_image_size_blocks() -> None:
    g = Graph(3, "height", 4)
    model = g.model(g.op("next", "Flatten", g.affine(g.x, MIXED, SHIFT)))
    refusal = move(model)
    assert refusal == Refusal("bn", "the following next mixes the channels with other axes")


def test_two_become_one() -> None:
    def build() -> ir.Model:
        g = Graph(3, 4)
        x = g.affine(g.op("relu", "Relu", g.x), MIXED, SHIFT, layer="a")
        return g.model(g.affine(x, POSITIVE, [1.0, 2.0, 3.0], layer="b"))

    nodes, refusal = rewritten(build, move)
    assert refusal is None
    assert nodes == ["Relu", "Affine"]
    model = build()
    move(model)
    merged = the_affine(model)
    assert merged.layers == "a + b"
    np.testing.assert_allclose(merged.scale, np.multiply(MIXED, POSITIVE), rtol=1e-15, atol=0)
    np.testing.assert_allclose(merged.shift, [1.75, 2.0, 1.0], rtol=1e-15, atol=0)


def test_two_along_different_axes_stay() -> None:
    g = Graph(3, 3)
    x = g.affine(g.x, MIXED, SHIFT)
    model = g.model(g.affine(x, POSITIVE, SHIFT, axis=2, layer="other"))
    assert move(model) == Refusal("bn", "the following other acts along another axis")


def test_unknown_operator_returns_the_given_refusal() -> None:
    model = followed_by("Sigmoid")()
    assert move(model) is OTHERWISE


# Whole models


@pytest.mark.parametrize(
    "pool", [L.MaxPooling2D(2), L.MaxPooling2D(2, padding="same"), L.GlobalMaxPooling2D()]
)
def test_max_pooling_layer_blocks_negative_scale(pool: Any) -> None:
    def build() -> keras.Model:
        layers = [L.ReLU(), L.BatchNormalization(name="bn"), pool.from_config(pool.get_config())]
        end = L.Dense(3) if isinstance(pool, L.GlobalMaxPooling2D) else L.Conv2D(3, 2)
        return functional((7, 7, 4), *layers, end)

    assert normalization_operators(converted(make_gammas_positive(build()))) == []
    conversion = converted(build())
    assert normalization_operators(conversion) == ["BatchNormalization"]
    assert (
        "takes maxima, and the scale is not positive for every channel" in conversion.folds.refused[0].reason
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_past_average_pooling_layers(padding: str) -> None:
    layers = [L.ReLU(), L.BatchNormalization(), L.AveragePooling2D(2, padding=padding), L.Conv2D(3, 2)]
    assert normalization_operators(converted(functional((7, 7, 4), *layers))) == []
    for keepdims in (False, True):
        end = L.Conv2D(3, 1) if keepdims else L.Dense(3)
        layers = [L.ReLU(), L.BatchNormalization(), L.GlobalAveragePooling2D(keepdims=keepdims), end]
        assert normalization_operators(converted(functional((7, 7, 4), *layers))) == []


@pytest.mark.parametrize("first", ["image", "convolution"])
def test_past_a_flatten_layer_into_a_dense_layer(first: str) -> None:
    start = L.Conv2D(4, 3, activation="relu") if first == "convolution" else L.ReLU()
    model = functional((6, 5, 4), start, L.BatchNormalization(), L.Flatten(), L.Dense(3))
    assert normalization_operators(converted(model)) == []


def test_reshape_layer_that_mixes_the_channels_blocks() -> None:
    model = functional((4, 5, 4), L.ReLU(), L.BatchNormalization(name="bn"), L.Reshape((10, 8)), L.Dense(3))
    conversion = converted(model)
    assert "mixes the channels with other axes" in conversion.folds.refused[0].reason


def test_zero_padding_layer_blocks() -> None:
    layers = [L.ReLU(), L.BatchNormalization(name="bn"), L.ZeroPadding2D(1), L.Conv2D(3, 3)]
    conversion = converted(functional((6, 6, 4), *layers))
    assert "followed by Pad" in conversion.folds.refused[0].reason


def test_normalizations_in_a_row_become_one() -> None:
    layers = [L.ReLU(), L.BatchNormalization(), L.Rescaling(2.0, 1.0), L.BatchNormalization(), L.ReLU()]
    conversion = converted(functional((6, 6, 4), L.Conv2D(4, 3), *layers))
    assert normalization_operators(conversion) == ["BatchNormalization"]


@pytest.mark.parametrize("layer", [L.LSTM(3), L.GRU(3, return_sequences=True), L.Permute((2, 1))])
def test_past_a_transpose_within_a_lowering(layer: Any) -> None:
    """Of different numbers for each feature, so that the shape of the constants matters."""
    normalization = L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])
    converted(functional((5, 3), normalization, layer))
