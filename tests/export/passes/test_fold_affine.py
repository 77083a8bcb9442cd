"""fold_affine: the rules together, and the report."""

from collections.abc import Callable

import keras
import onnx_ir as ir
import pytest

from export.passes.fold_affine import FoldAffinePass, FoldResult
from export.passes.outcome import Fold, FoldReport, Refusal
from tests.export.helpers import (
    converted,
    functional,
    kinds,
    normalization_operators,
    random_array,
    randomize,
)
from tests.export.passes.graphs import Graph, check_pass, rewritten

L = keras.layers
SCALE, SHIFT = [1.5, 0.5, 2.0], [0.5, 0.0, -1.0]


def fold(build: Callable[[], ir.Model]) -> tuple[list[str], FoldResult]:
    """Fold, with the same numbers as before: the operators that are left, and the result."""
    return rewritten(build, FoldAffinePass().call)


def test_affine_moves_until_it_can_be_folded() -> None:
    def build() -> ir.Model:
        g = Graph(3, 8, 8)
        x = g.affine(g.op("relu", "Relu", g.x), SCALE, SHIFT)
        x = g.op("max", "MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], shape=(3, 4, 4))
        x = g.op("mean", "GlobalAveragePool", x, shape=(3, 1, 1))
        x = g.op("flatten", "Flatten", x, shape=(3,))
        return g.model(g.op("dense", "Gemm", x, random_array(3, 5), random_array(5), shape=(5,)))

    nodes, result = fold(build)
    assert result.modified
    assert nodes == ["Relu", "MaxPool", "GlobalAveragePool", "Flatten", "Gemm"]
    assert result.report == FoldReport(folded=(Fold("bn", "into the following dense"),))


def test_preceding_layer_comes_first() -> None:
    def build() -> ir.Model:
        g = Graph(3)
        x = g.op("first", "Gemm", g.x, random_array(3, 3), random_array(3))
        return g.model(g.op("second", "Gemm", g.affine(x, SCALE, SHIFT), random_array(3, 3)))

    nodes, result = fold(build)
    assert nodes == ["Gemm", "Gemm"]
    assert result.report.folded == (Fold("bn", "into the preceding first"),)


def test_several_are_folded() -> None:
    def build() -> ir.Model:
        g = Graph(3)
        x = g.affine(g.x, SCALE, SHIFT, layer="a")
        x = g.op("dense", "Gemm", x, random_array(3, 3), random_array(3))
        return g.model(g.op("relu", "Relu", g.affine(x, SCALE, SHIFT, layer="b")))

    nodes, result = fold(build)
    assert nodes == ["Gemm", "Relu"]
    assert [str(one) for one in result.report.folded] == [
        "a: into the following dense",
        "b: into the preceding dense",
    ]


@pytest.mark.parametrize("op_type", ["Relu", "LeakyRelu"])
@pytest.mark.parametrize(
    ("scale", "shift", "folds"),
    [(SCALE, [0.0] * 3, True), ([1.5, -0.5, 2.0], [0.0] * 3, False), (SCALE, SHIFT, False)],
)
def test_positive_scale_passes_a_relu(
    op_type: str, scale: list[float], shift: list[float], folds: bool
) -> None:
    def build() -> ir.Model:
        g = Graph(2, 5, 5)
        x = g.op("conv", "Conv", g.x, random_array(3, 2, 3, 3), random_array(3), shape=(3, 3, 3))
        return g.model(g.op("tanh", "Tanh", g.affine(g.op("relu", op_type, x), scale, shift)))

    nodes, result = fold(build)
    if folds:
        assert nodes == ["Conv", op_type, "Tanh"]
        assert result.report.folded == (Fold("bn", "into the preceding conv"),)
    else:
        assert nodes == ["Conv", op_type, "Affine", "Tanh"]
        assert [refusal.reason for refusal in result.report.refused] == [
            f"preceded by {op_type}; followed by Tanh (tanh)"
        ]


def test_a_scale_stays_after_a_relu_that_has_other_users_or_no_layer_before_it() -> None:
    def build(with_layer: bool) -> ir.Model:
        g = Graph(3, 5, 5)
        x = g.op("conv", "Conv", g.x, random_array(3, 3, 1, 1), random_array(3)) if with_layer else g.x
        relu = g.op("relu", "Relu", x)
        tanh = g.op("tanh", "Tanh", g.affine(relu, SCALE, [0.0] * 3))
        return g.model(g.op("sum", "Add", tanh, relu) if with_layer else tanh)

    for with_layer in (True, False):
        nodes, _ = fold(lambda with_layer=with_layer: build(with_layer))  # type: ignore[misc]
        assert "Affine" in nodes


def test_affine_without_effect_goes() -> None:
    def build() -> ir.Model:
        g = Graph(3)
        return g.model(g.op("tanh", "Tanh", g.affine(g.x, [1.0] * 3, [0.0] * 3)))

    nodes, result = fold(build)
    assert nodes == ["Tanh"]
    assert result.report.folded == (Fold("bn", "has no effect in inference"),)


def test_refusal_has_the_reasons_of_both_sides() -> None:
    def build() -> ir.Model:
        g = Graph(3)
        return g.model(g.op("tanh", "Tanh", g.affine(g.op("relu", "Relu", g.x), SCALE, SHIFT)))

    nodes, result = fold(build)
    assert not result.modified
    assert nodes == ["Relu", "Affine", "Tanh"]
    assert result.report.folded == ()
    [refusal] = result.report.refused
    assert str(refusal) == "bn: preceded by Relu; followed by Tanh (tanh)"


def test_affine_whose_output_the_graph_returns_stays() -> None:
    def build() -> ir.Model:
        g = Graph(3)
        return g.model(g.affine(g.x, SCALE, SHIFT))

    nodes, result = fold(build)
    assert nodes == ["Affine"]
    reason = "preceded by the model's input; its output is an output of the model"
    assert result.report.refused == (Refusal("bn", reason),)


def test_refusal_of_one_that_is_merged_later_is_not_reported() -> None:
    def build() -> ir.Model:
        g = Graph(3)
        x = g.affine(g.op("relu", "Relu", g.x), SCALE, SHIFT, layer="a")
        return g.model(g.op("tanh", "Tanh", g.affine(x, SCALE, SHIFT, layer="b")))

    nodes, result = fold(build)
    assert nodes == ["Relu", "Affine", "Tanh"]
    assert [refusal.layers for refusal in result.report.refused] == ["a + b"]


def test_graph_without_affine_stays() -> None:
    def build() -> ir.Model:
        g = Graph(3)
        return g.model(g.op("tanh", "Tanh", g.x))

    check_pass(build, FoldAffinePass(), modified=False, nodes=["Tanh"])
    assert fold(build)[1].report == FoldReport()


# Whole models


def test_normalization_whose_output_the_model_returns_stays() -> None:
    x = keras.Input((8, 8, 3))
    y = L.BatchNormalization(name="bn")(L.ReLU()(x))
    model = randomize(keras.Model(x, [y, L.Conv2D(4, 3)(y)]))
    conversion = converted(model)
    assert "its output is an output of the model" in conversion.folds.refused[0].reason


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_gamma_and_beta_of_a_group_normalization(groups: int) -> None:
    layers = [L.Conv2D(4, 3), L.ReLU(), L.GroupNormalization(groups)]
    folded = converted(functional((8, 8, 3), *layers, L.Conv2D(3, 3)))
    assert "BatchNormalization" not in normalization_operators(folded)
    padded = converted(functional((8, 8, 3), *layers, L.Conv2D(3, 3, padding="same")))
    # With groups of one channel, and with a single group, gamma and beta are part of the normalization node.
    assert ("BatchNormalization" in normalization_operators(padded)) == (groups == 2)


def test_option_fold_false() -> None:
    model = functional((8, 8, 3), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU())
    assert "BatchNormalization" in kinds(converted(model, fold=False))
