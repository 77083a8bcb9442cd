"""Rules 1 and 2 of fold_affine: into the preceding or the following layer, or a refusal with its reason."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from export.onnx_graph import constant_array
from export.passes.fold_weights import fold_into_following, fold_into_preceding
from export.passes.outcome import Fold, Refusal
from tests.export.helpers import (
    converted,
    functional,
    kinds,
    normalization_operators,
    random_array,
    randomize,
)
from tests.export.passes.graphs import Graph, op_types, rewritten, the_affine

L = keras.layers
SCALE, SHIFT = [1.5, -0.5, 2.0, 0.25], [0.5, 0.0, -1.0, 2.0]
NONE = [0.0] * 4


def into_preceding(model: ir.Model) -> Fold | Refusal:
    return fold_into_preceding(model.graph, the_affine(model))


def into_following(model: ir.Model) -> Fold | Refusal:
    affine = the_affine(model)
    return fold_into_following(model.graph, affine, [use.node for use in affine.output.uses()])


def check_folds(
    build: Callable[[], ir.Model], rewrite: Callable[[ir.Model], Fold | Refusal], how: str, nodes: list[str]
) -> None:
    """Check what is left, the same numbers as before, and the report."""
    left, fold = rewritten(build, rewrite)
    assert fold == Fold("bn", how)
    assert left == nodes


def check_refuses(model: ir.Model, rewrite: Callable[[ir.Model], Fold | Refusal], reason: str) -> None:
    """Check that nothing changes, and the reason."""
    nodes = op_types(model)
    constants = {name: value.const_value for name, value in model.graph.initializers.items()}
    assert rewrite(model) == Refusal("bn", reason)
    assert op_types(model) == nodes
    assert {name: value.const_value for name, value in model.graph.initializers.items()} == constants


# Rule 1: into the preceding layer


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1]], ids=["valid", "padded"])
def test_into_the_preceding_convolution(pads: list[int], use_bias: bool, groups: int) -> None:
    def build() -> ir.Model:
        g = Graph(2, 6, 6)
        bias = [random_array(4, seed=1)] if use_bias else []
        x = g.op("conv", "Conv", g.x, random_array(4, 2 // groups, 3, 3), *bias, group=groups, pads=pads)
        return g.model(g.affine(x, SCALE, SHIFT))

    check_folds(build, into_preceding, "into the preceding conv", ["Conv"])


@pytest.mark.parametrize("use_bias", [False, True])
def test_into_the_preceding_transposed_convolution(use_bias: bool) -> None:
    def build() -> ir.Model:
        g = Graph(2, 6, 6)
        bias = [random_array(4, seed=1)] if use_bias else []
        x = g.op("up", "ConvTranspose", g.x, random_array(2, 4, 3, 3), *bias, strides=[2, 2])
        return g.model(g.affine(x, SCALE, SHIFT))

    check_folds(build, into_preceding, "into the preceding up", ["ConvTranspose"])


def test_into_the_preceding_gemm() -> None:
    def build() -> ir.Model:
        g = Graph(3)
        return g.model(g.affine(g.op("dense", "Gemm", g.x, random_array(3, 4), shape=(4,)), SCALE, SHIFT))

    check_folds(build, into_preceding, "into the preceding dense", ["Gemm"])


@pytest.mark.parametrize(
    ("shift", "nodes"), [(SHIFT, ["MatMul", "Add"]), (NONE, ["MatMul"])], ids=["shift", "no shift"]
)
def test_into_the_preceding_matmul(shift: list[float], nodes: list[str]) -> None:
    def build() -> ir.Model:
        g = Graph(5, 3)
        x = g.op("dense", "MatMul", g.x, random_array(3, 4), shape=(5, 4))
        return g.model(g.affine(x, SCALE, shift, axis=2))

    check_folds(build, into_preceding, "into the preceding dense", nodes)


@pytest.mark.parametrize("bias_first", [False, True])
def test_into_the_preceding_matmul_and_its_bias(bias_first: bool) -> None:
    def build() -> ir.Model:
        g = Graph(5, 3)
        x = g.op("dense", "MatMul", g.x, random_array(3, 4), shape=(5, 4))
        bias = random_array(4, seed=1)
        terms = (bias, x) if bias_first else (x, bias)
        return g.model(g.affine(g.op("dense", "Add", *terms, shape=(5, 4)), SCALE, SHIFT, axis=2))

    check_folds(build, into_preceding, "into the preceding dense", ["MatMul", "Add"])


def test_input_has_no_preceding_layer() -> None:
    g = Graph(4)
    check_refuses(g.model(g.affine(g.x, SCALE, SHIFT)), into_preceding, "preceded by the model's input")


@pytest.mark.parametrize("op_type", ["Relu", "Add", "MatMul"])
def test_other_preceding_operator_is_refused(op_type: str) -> None:
    g = Graph(4, 4)
    x = g.op("other", op_type, g.x) if op_type == "Relu" else g.op("other", op_type, g.x, g.x)
    check_refuses(g.model(g.affine(x, SCALE, SHIFT)), into_preceding, f"preceded by {op_type}")


def test_preceding_convolution_with_other_users_is_refused() -> None:
    g = Graph(2, 6, 6)
    x = g.op("conv", "Conv", g.x, random_array(4, 2, 3, 3))
    model = g.model(g.affine(x, SCALE, SHIFT), g.op("relu", "Relu", x))
    check_refuses(model, into_preceding, "the preceding conv has other users")


@pytest.mark.parametrize("case", ["computed kernel", "another axis"])
def test_preceding_convolution_without_constant_weights_along_the_axis_is_refused(case: str) -> None:
    g = Graph(2, 4, 4)
    kernel: Any = random_array(4, 2, 1, 1)
    if case == "computed kernel":
        kernel = g.op("kernel", "Relu", kernel)
    x = g.op("conv", "Conv", g.x, kernel, shape=(4, 4, 4))
    model = g.model(g.affine(x, SCALE, SHIFT, axis=2 if case == "another axis" else 1))
    check_refuses(model, into_preceding, "the preceding conv has no constant weights along that axis")


# Rule 2: into the following layer


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("use_bias", [False, True])
def test_into_the_following_convolution(use_bias: bool, groups: int) -> None:
    def build() -> ir.Model:
        g = Graph(4, 6, 6)
        bias = [random_array(8, seed=1)] if use_bias else []
        x = g.affine(g.x, SCALE, SHIFT)
        kernel = random_array(8, 4 // groups, 3, 3)
        return g.model(g.op("conv", "Conv", x, kernel, *bias, group=groups, strides=[2, 1]))

    check_folds(build, into_following, "into the following conv", ["Conv"])


def test_into_the_following_padded_convolution_without_shift() -> None:
    def build() -> ir.Model:
        g = Graph(4, 6, 6)
        return g.model(
            g.op("conv", "Conv", g.affine(g.x, SCALE, NONE), random_array(3, 4, 3, 3), pads=[1, 1, 1, 1])
        )

    check_folds(build, into_following, "into the following conv", ["Conv"])


@pytest.mark.parametrize("attributes", [{"pads": [0, 0, 1, 0]}, {"auto_pad": "SAME_UPPER"}], ids=str)
def test_following_padded_convolution_refuses_a_shift(attributes: dict[str, Any]) -> None:
    g = Graph(4, 6, 6)
    model = g.model(g.op("conv", "Conv", g.affine(g.x, SCALE, SHIFT), random_array(3, 4, 3, 3), **attributes))
    reason = "the following conv pads with zeros, which the shift would have to change"
    check_refuses(model, into_following, reason)


def test_into_the_following_transposed_convolution_without_shift() -> None:
    def build() -> ir.Model:
        g = Graph(4, 6, 6)
        x = g.affine(g.x, SCALE, NONE)
        return g.model(
            g.op("up", "ConvTranspose", x, random_array(4, 3, 3, 3), strides=[2, 2], pads=[0, 0, 1, 1])
        )

    check_folds(build, into_following, "into the following up", ["ConvTranspose"])


def test_following_transposed_convolution_refuses_a_shift() -> None:
    g = Graph(4, 6, 6)
    model = g.model(g.op("up", "ConvTranspose", g.affine(g.x, SCALE, SHIFT), random_array(4, 3, 3, 3)))
    reason = "the following up would add up the shift a different number of times per pixel"
    check_refuses(model, into_following, reason)


def test_into_the_following_gemm() -> None:
    def build() -> ir.Model:
        g = Graph(4)
        return g.model(
            g.op("dense", "Gemm", g.affine(g.x, SCALE, SHIFT), random_array(4, 3), random_array(3))
        )

    check_folds(build, into_following, "into the following dense", ["Gemm"])


@pytest.mark.parametrize("end", ["nothing", "bias", "bias of one number", "activation"])
def test_into_the_following_matmul(end: str) -> None:
    def build() -> ir.Model:
        g = Graph(5, 4)
        x = g.op("dense", "MatMul", g.affine(g.x, SCALE, SHIFT, axis=2), random_array(4, 3), shape=(5, 3))
        if end.startswith("bias"):
            x = g.op("dense", "Add", x, random_array(1 if end.endswith("number") else 3, seed=1))
        elif end == "activation":
            x = g.op("relu", "Relu", x)
        return g.model(x)

    nodes = {
        "nothing": ["MatMul", "Add"],
        "bias": ["MatMul", "Add"],
        "bias of one number": ["MatMul", "Add", "Add"],
        "activation": ["MatMul", "Add", "Relu"],
    }
    check_folds(build, into_following, "into the following dense", nodes[end])


def test_into_all_following_layers() -> None:
    def build() -> ir.Model:
        g = Graph(4, 6, 6)
        x = g.affine(g.x, SCALE, SHIFT)
        return g.model(*(g.op(name, "Conv", x, random_array(3, 4, 3, 3)) for name in ("one", "two")))

    check_folds(build, into_following, "into the following one, two", ["Conv", "Conv"])


def test_one_following_layer_that_refuses_stops_the_fold_into_all() -> None:
    g = Graph(4, 6, 6)
    x = g.affine(g.x, SCALE, SHIFT)
    outputs = [g.op("one", "Conv", x, random_array(3, 4, 3, 3)), g.op("two", "Relu", x)]
    check_refuses(g.model(*outputs), into_following, "followed by Relu (two)")


def test_shared_kernel_stays_for_its_other_user() -> None:
    def build() -> ir.Model:
        g = Graph(4)
        kernel = g.op("one", "Gemm", g.affine(g.x, SCALE, SHIFT), random_array(4, 3)).producer()
        assert kernel is not None
        plain = g.op("two", "Gemm", g.x, kernel.inputs[1])
        return g.model(kernel.outputs[0], plain)

    check_folds(build, into_following, "into the following one", ["Gemm", "Gemm"])


def test_following_matmul_by_a_computed_matrix_is_refused() -> None:
    g = Graph(4, 4)
    model = g.model(g.op("product", "MatMul", g.affine(g.x, SCALE, SHIFT, axis=2), g.x))
    check_refuses(model, into_following, "the following product has no constant weights")


def test_following_convolution_with_channels_along_another_axis_is_refused() -> None:
    g = Graph(2, 4, 6)
    model = g.model(g.op("conv", "Conv", g.affine(g.x, SCALE, SHIFT, axis=2), random_array(3, 2, 1, 1)))
    check_refuses(model, into_following, "the following conv has its channels along another axis")


def test_following_matmul_along_another_axis_is_refused() -> None:
    g = Graph(4, 5)
    model = g.model(g.op("dense", "MatMul", g.affine(g.x, SCALE, SHIFT), random_array(5, 3)))
    check_refuses(model, into_following, "the following dense multiplies another axis")


def test_affine_as_the_second_factor_is_refused() -> None:
    g = Graph(4)
    x = g.affine(g.x, SCALE, SHIFT)
    model = g.model(g.op("product", "MatMul", random_array(4, 4), x))
    check_refuses(model, into_following, "followed by MatMul (product)")


def test_affine_before_an_output_is_refused() -> None:
    g = Graph(4)
    model = g.model(g.op("outputs", "Identity", g.affine(g.x, SCALE, SHIFT)))
    check_refuses(model, into_following, "its output is an output of the model")


def test_affine_without_users_is_refused() -> None:
    g = Graph(4)
    check_refuses(g.model(g.affine(g.x, SCALE, SHIFT)), into_following, "it has no users")


def test_folded_weights_are_computed_in_float64() -> None:
    g = Graph(4)
    kernel, bias = random_array(4, 3), random_array(3)
    model = g.model(g.op("dense", "Gemm", g.affine(g.x, np.divide(SCALE, 3), SHIFT), kernel, bias))
    into_following(model)
    [gemm] = list(model.graph)
    scale = np.divide(SCALE, 3)
    expected = (kernel.astype(np.float64) * scale[:, None]).astype(np.float32)
    np.testing.assert_array_equal(constant_array(gemm.inputs[1]), expected)
    expected = (bias.astype(np.float64) + np.array(SHIFT) @ kernel.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(constant_array(gemm.inputs[2]), expected)


# Whole models


def test_normalization_after_a_convolution_layer() -> None:
    for padding in ("valid", "same"):
        model = functional(
            (8, 8, 3), L.Conv2D(4, 3, padding=padding), L.BatchNormalization(name="bn"), L.ReLU()
        )
        conversion = converted(model)
        assert normalization_operators(conversion) == []
        [fold] = conversion.folds.folded
        assert fold.layers == "bn"
        assert fold.how.startswith("into the preceding conv2d")
        assert conversion.folds.refused == ()


def test_normalization_after_a_transposed_convolution_layer() -> None:
    layers = [L.Conv2DTranspose(4, 3, strides=2, padding="same"), L.BatchNormalization(), L.ReLU()]
    conversion = converted(functional((5, 4, 3), *layers))
    assert kinds(conversion) == ["Transpose", "ConvTranspose", "Relu", "Transpose"]


def test_normalization_after_and_before_a_dense_layer() -> None:
    model = functional((5,), L.Dense(4), L.BatchNormalization(), L.ReLU(), L.BatchNormalization(), L.Dense(3))
    assert kinds(converted(model)) == ["Gemm", "Relu", "Gemm"]


def test_normalization_before_a_dense_layer_over_a_sequence() -> None:
    model = functional((7, 5), L.ReLU(), L.BatchNormalization(), L.Dense(3), L.ReLU())
    assert kinds(converted(model)) == ["Relu", "MatMul", "Add", "Relu"]


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"dilation_rate": 2}, {"groups": 2, "filters": 6}])
def test_normalization_before_a_valid_convolution_layer(use_bias: bool, options: dict[str, Any]) -> None:
    arguments = {"filters": 5, "kernel_size": 3, "use_bias": use_bias, **options}
    model = functional(
        (9, 9, 3), L.Conv2D(4, 3), L.ReLU(), L.BatchNormalization(), L.Conv2D(**arguments), L.ReLU()
    )
    assert normalization_operators(converted(model)) == []


@pytest.mark.parametrize("multiplier", [1, 3])
def test_normalization_before_a_depthwise_convolution_layer(multiplier: int) -> None:
    layers = [L.ReLU(), L.BatchNormalization(), L.DepthwiseConv2D(3, depth_multiplier=multiplier), L.ReLU()]
    assert normalization_operators(converted(functional((9, 9, 4), *layers))) == []


def test_normalization_before_a_padded_convolution_layer_stays() -> None:
    layers = [
        L.ReLU(),
        L.BatchNormalization(name="bn"),
        L.Conv2D(5, 3, padding="same", name="conv"),
        L.ReLU(),
    ]
    conversion = converted(functional((9, 9, 4), L.Conv2D(4, 3), *layers))
    assert normalization_operators(conversion) == ["BatchNormalization"]
    [refusal] = conversion.folds.refused
    assert refusal.layers == "bn"
    assert refusal.reason == (
        "preceded by Relu; the following conv pads with zeros, which the shift would have to change"
    )


def test_scale_without_shift_folds_into_a_padded_convolution_layer() -> None:
    norm = L.Rescaling(3.0)
    model = functional((9, 9, 4), L.ReLU(), norm, L.Conv2D(5, 3, padding="same"), L.ReLU())
    assert normalization_operators(converted(model)) == []


def test_1x1_convolution_layer_with_same_padding_is_not_padded() -> None:
    model = functional((9, 9, 4), L.ReLU(), L.BatchNormalization(), L.Conv2D(5, 1, padding="same"), L.ReLU())
    assert normalization_operators(converted(model)) == []


def test_convolution_layer_that_is_used_elsewhere_stays() -> None:
    x = keras.Input((8, 8, 3))
    y = L.Conv2D(4, 3, name="conv")(x)
    model = randomize(keras.Model(x, L.Add()([L.BatchNormalization(name="bn")(y), y])))
    conversion = converted(model)
    assert normalization_operators(conversion) == ["BatchNormalization", "Add"]
    assert str(conversion.folds.refused[0]).startswith(
        "bn: the preceding conv has other users; followed by Add"
    )


def test_normalization_before_several_convolution_layers_folds_into_all_or_none() -> None:
    x = keras.Input((8, 8, 3))
    y = L.BatchNormalization(name="bn")(L.ReLU()(x))
    both = [L.Conv2D(4, 3)(y), L.Conv2D(4, 3)(y)]
    assert normalization_operators(converted(randomize(keras.Model(x, L.Concatenate()(both))))) == []
    one = [L.Conv2D(4, 3, padding="same")(y), L.Conv2D(4, 3, padding="same", name="padded")(y)]
    conversion = converted(randomize(keras.Model(x, L.Concatenate()(one))))
    assert normalization_operators(conversion) == ["BatchNormalization"]


def test_shared_convolution_layer_keeps_its_kernel_for_the_other_call() -> None:
    x = keras.Input((8, 8, 3))
    conv, relu = L.Conv2D(4, 3), L.ReLU()
    normalized, plain = conv(L.BatchNormalization()(relu(x))), conv(relu(x))
    model = randomize(keras.Model(x, L.Concatenate()([normalized, plain])))
    assert normalization_operators(converted(model)) == []


def test_scaling_of_the_input_folds_into_the_first_convolution_layer() -> None:
    for channels in (1, 3):
        first = L.Rescaling(1 / 128, -1.0)
        model = functional((8, 8, channels), first, L.Conv2D(4, 3), L.ReLU())
        conversion = converted(model, input_range=(0.0, 255.0))
        assert normalization_operators(conversion) == []


def test_folded_kernel_and_bias_by_formula() -> None:
    # y = W (a x + b) + c, rule 2 of fold_affine written out, against the folded kernel and bias.
    model = functional((5,), L.ReLU(), L.BatchNormalization(epsilon=0.1), L.Dense(3))
    conversion = converted(model)
    bn, dense = model.layers[2], model.layers[3]
    a = bn.gamma.numpy() / np.sqrt(bn.moving_variance.numpy() + 0.1)
    b = bn.beta.numpy() - a * bn.moving_mean.numpy()
    weights = {i.name: i for i in conversion.model.graph.initializer}
    gemm = conversion.model.graph.node[-1]
    kernel, bias = (numpy_helper.to_array(weights[name]) for name in gemm.input[1:])
    np.testing.assert_allclose(kernel, a[:, None] * dense.kernel.numpy(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(bias, dense.bias.numpy() + b @ dense.kernel.numpy(), rtol=1e-6, atol=1e-6)
