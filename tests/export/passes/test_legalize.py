"""legalize: the form of each internal operator, and its numbers against the formula."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from export.convert import Options, convert
from export.errors import UserError
from export.passes.legalize import LARGEST_REPEATED_GAMMA, LegalizePass
from kerasnorm import build_cnn
from tests.export.helpers import random_array
from tests.export.passes.graphs import Graph, compute, op_types

GAMMA, BETA = [1.5, -0.5, 2.0, 0.25], [0.5, 0.0, -1.0, 2.0]


def group_normalize(x: np.ndarray, groups: int, epsilon: float = 0.01) -> np.ndarray:
    grouped = x.reshape(len(x), groups, -1).astype(np.float64)
    centered = grouped - grouped.mean(-1, keepdims=True)
    return (centered / np.sqrt(grouped.var(-1, keepdims=True) + epsilon)).reshape(x.shape)


def along(values: list[float], axis: int, rank: int) -> np.ndarray:
    return np.reshape(values, [-1 if one == axis else 1 for one in range(rank)])


def check(
    model: ir.Model, nodes: list[str], shape: tuple[int, ...], formula: Callable[[np.ndarray], np.ndarray]
) -> None:
    result = LegalizePass()(model)
    assert result.modified
    assert op_types(model) == nodes
    assert not LegalizePass()(model).modified
    for batch in (1, 3):
        x = random_array(batch, *shape, seed=batch)
        [got] = compute(model, x)
        np.testing.assert_allclose(got, formula(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("scale", "shift", "nodes"),
    [
        (GAMMA, BETA, ["BatchNormalization"]),
        (GAMMA, [0.0] * 4, ["Mul"]),
        ([1.0] * 4, BETA, ["Add"]),
        ([3.0] * 4, [0.5] * 4, ["Mul", "Add"]),  # uniform: with scalars
        ([1.0] * 4, [0.0] * 4, []),
    ],
)
def test_affine_of_channels(scale: list[float], shift: list[float], nodes: list[str]) -> None:
    g = Graph(4, 5, 3)
    x = g.op("relu", "Relu", g.x)
    model = g.model(g.affine(x, scale, shift))
    check(
        model,
        ["Relu", *nodes],
        (4, 5, 3),
        lambda x: np.maximum(x, 0) * along(scale, 1, 4) + along(shift, 1, 4),
    )


def test_uniform_affine_has_scalars() -> None:
    g = Graph(4, 5, 3)
    model = g.model(g.affine(g.x, [3.0] * 4, [0.5] * 4))
    LegalizePass()(model)
    constants = [node.inputs[1] for node in model.graph]
    assert [value.const_value.numpy().shape for value in constants if value and value.const_value] == [(), ()]


@pytest.mark.parametrize(("shape", "axis"), [((4,), 1), ((5, 4), 2), ((5, 6, 4), 3)])
def test_affine_along_another_axis(shape: tuple[int, ...], axis: int) -> None:
    g = Graph(*shape)
    rank = len(shape) + 1
    model = g.model(g.affine(g.x, GAMMA, BETA, axis))
    check(model, ["Mul", "Add"], shape, lambda x: x * along(GAMMA, axis, rank) + along(BETA, axis, rank))


@pytest.mark.parametrize("with_affine", [False, True])
def test_group_norm_of_one_group(with_affine: bool) -> None:
    g = Graph(4, 5, 3)
    x = g.group_norm(g.x, 1)
    model = g.model(g.affine(x, GAMMA, BETA) if with_affine else x)
    nodes = ["LayerNormalization"] if with_affine else ["ConstantOfShape", "LayerNormalization"]
    gamma, beta = (along(GAMMA, 1, 4), along(BETA, 1, 4)) if with_affine else (1.0, 0.0)
    check(model, nodes, (4, 5, 3), lambda x: group_normalize(x, 1) * gamma + beta)


def test_gamma_of_one_group_is_repeated_up_to_a_limit() -> None:
    side = int(np.sqrt(LARGEST_REPEATED_GAMMA / 4))
    for width, nodes in (
        (side, ["LayerNormalization"]),
        (side + 1, ["ConstantOfShape", "LayerNormalization", "BatchNormalization"]),
    ):
        g = Graph(4, side, width)
        model = g.model(g.affine(g.group_norm(g.x, 1), GAMMA, BETA))
        assert LegalizePass()(model).modified
        assert op_types(model) == nodes


@pytest.mark.parametrize("with_affine", [False, True])
def test_group_norm_with_a_group_for_each_channel(with_affine: bool) -> None:
    g = Graph(4, 5, 3)
    x = g.group_norm(g.x, 4)
    model = g.model(g.affine(x, GAMMA, BETA) if with_affine else x)
    gamma, beta = (along(GAMMA, 1, 4), along(BETA, 1, 4)) if with_affine else (1.0, 0.0)
    check(model, ["InstanceNormalization"], (4, 5, 3), lambda x: group_normalize(x, 4) * gamma + beta)


def test_group_norm_of_several_groups() -> None:
    g = Graph(4, 5, 3)
    model = g.model(g.affine(g.group_norm(g.x, 2), GAMMA, BETA))
    check(
        model,
        ["Reshape", "InstanceNormalization", "Reshape", "BatchNormalization"],
        (4, 5, 3),
        lambda x: group_normalize(x, 2) * along(GAMMA, 1, 4) + along(BETA, 1, 4),
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_group_norm_of_dynamic_image_size(groups: int) -> None:
    g = Graph(4, "height", "width")
    model = g.model(g.group_norm(g.x, groups))
    check(
        model,
        ["Reshape", "InstanceNormalization", "Shape", "Reshape"],
        (4, 3, 3),
        lambda x: group_normalize(x, groups),
    )


def test_affine_with_another_user_is_not_taken_into_the_group_norm() -> None:
    g = Graph(4, 5, 3)
    x = g.group_norm(g.x, 4)
    model = g.model(g.affine(x, GAMMA, BETA), g.op("relu", "Relu", x))
    LegalizePass()(model)
    assert op_types(model) == ["InstanceNormalization", "BatchNormalization", "Relu"]


def test_portable_group_norm_is_the_standard_operator() -> None:
    g = Graph(4, 5, 3, opset=21)
    model = g.model(g.affine(g.group_norm(g.x, 2), GAMMA, BETA))
    assert LegalizePass(portable=True)(model).modified
    [node] = list(model.graph)
    assert node.op_type == "GroupNormalization"
    assert node.attributes["num_groups"].as_int() == 2
    gammas, betas = (
        value.const_value.numpy().tolist() for value in node.inputs[1:] if value and value.const_value
    )
    assert (gammas, betas) == (GAMMA, BETA)


def test_portable_group_norm_needs_opset_21() -> None:
    g = Graph(4, 5, 3, opset=17)
    model = g.model(g.group_norm(g.x, 2, layer="block/gn"))
    with pytest.raises(
        UserError,
        match=r"block/gn: GroupNormalization needs opset 21, got 17; use --opset 21, or another --target",
    ):
        LegalizePass(portable=True).call(model)
    with pytest.raises(ValueError, match=r"norm0: GroupNormalization needs opset 21, got 17; use --opset 21"):
        convert(build_cnn("gn"), Options(portable=True, opset=17))


def test_other_operators_stay() -> None:
    g = Graph(4)
    model = g.model(g.op("relu", "Relu", g.x))
    assert not LegalizePass()(model).modified
    assert op_types(model) == ["Relu"]
