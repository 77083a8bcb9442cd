"""Random operators of a graph by fixed numbers."""

import numpy as np
import onnx
from onnx import helper

from export.parity.random_numbers import draws_random_numbers, random_outputs, with_fixed_numbers
from export.random_numbers import FIXED
from export.runtime import open_session


def model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["n"], "n", mean=2.0, scale=3.0, seed=1.0),
        helper.make_node("RandomUniformLike", ["x"], ["u"], "u", low=-1.0, high=3.0),
        helper.make_node("Add", ["n", "u"], ["sum"], "sum"),
        helper.make_node("Neg", ["x"], ["negative"], "negative"),
    ]
    values = [
        helper.make_tensor_value_info(name, 1, ["batch", 2]) for name in ("x", "n", "u", "sum", "negative")
    ]
    graph = helper.make_graph(nodes, "random", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_outputs_that_depend_on_random_numbers() -> None:
    assert draws_random_numbers(model())
    assert random_outputs(model()) == {"n", "u", "sum"}
    without = model()
    del without.graph.node[:3]
    assert not draws_random_numbers(without)
    assert random_outputs(without) == set()


def test_fixed_numbers_within_the_context() -> None:
    proto = model()
    before = proto.SerializeToString()
    with with_fixed_numbers(proto):
        normal, uniform, total, _ = open_session(proto.SerializeToString()).run(
            None, {"x": np.zeros((3, 2), "float32")}
        )
    assert proto.SerializeToString() == before
    np.testing.assert_allclose(normal, np.full((3, 2), 2 + 3 * FIXED["normal"]), rtol=1e-6, atol=0)
    np.testing.assert_allclose(uniform, np.full((3, 2), -1 + 4 * FIXED["uniform"]), rtol=1e-6, atol=0)
    np.testing.assert_allclose(total, normal + uniform, rtol=1e-6, atol=0)
