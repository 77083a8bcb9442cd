"""The helpers that read and edit an onnx_ir graph."""

import numpy as np
import onnx_ir as ir
import pytest

from export import onnx_graph


def make_graph() -> tuple[ir.Graph, ir.Value, ir.Node, ir.Node]:
    """x -> Relu -> Transpose, which is the output."""
    x = ir.Value(name="x")
    graph = ir.Graph([x], [], nodes=[], opset_imports={"": 17}, name="test")
    relu = onnx_graph.insert_node(graph, "Relu", [x], {}, name="block/relu/Relu")
    output = onnx_graph.insert_node(graph, "Transpose", [relu], {"perm": [0, 2, 1]}, name="move/Transpose")
    graph.outputs.append(output)
    first, second = graph
    return graph, x, first, second


def test_add_constant_numbers_a_name_that_is_taken() -> None:
    graph, *_ = make_graph()
    names = [onnx_graph.add_constant(graph, np.zeros(2), "weight").name for _ in range(3)]
    assert names == ["weight", "weight_2", "weight_3"]
    assert list(graph.initializers) == names


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_add_constant_keeps_shape_and_dtype(shape: tuple[int, ...]) -> None:
    graph, *_ = make_graph()
    array = np.ones(shape, np.int32, order="F")
    value = onnx_graph.add_constant(graph, array, "weight")
    assert (value.shape, value.dtype) == (list(shape), ir.DataType.INT32)
    np.testing.assert_array_equal(onnx_graph.constant_array(value), array)


def test_insert_node_before_after_and_at_the_end() -> None:
    graph, x, relu, _ = make_graph()
    onnx_graph.insert_node(graph, "Abs", [x], {}, name="a", before=relu)
    onnx_graph.insert_node(graph, "Neg", [x], {}, name="b", after=relu)
    value = onnx_graph.insert_node(graph, "Exp", [x], {}, name="c", domain="mine")
    assert [node.op_type for node in graph] == ["Abs", "Relu", "Neg", "Transpose", "Exp"]
    node = value.producer()
    assert node is not None
    assert (node.name, value.name, node.domain) == ("c", "c", "mine")


def test_is_op_and_producer_see_standard_operators_only() -> None:
    graph, x, relu, _ = make_graph()
    mine = onnx_graph.insert_node(graph, "Relu", [x], {}, name="mine", domain="mine")
    assert onnx_graph.is_op(relu, "Abs", "Relu")
    assert not onnx_graph.is_op(relu, "Abs")
    assert not onnx_graph.is_op(mine.producer(), "Relu")
    assert not onnx_graph.is_op(None, "Relu")
    assert onnx_graph.producer(relu.outputs[0], "Relu") is relu
    assert onnx_graph.producer(relu.outputs[0], "Abs") is None
    assert onnx_graph.producer(x, "Relu") is None
    assert onnx_graph.producer(None, "Relu") is None


def test_constant_array_of_a_computed_value_is_none() -> None:
    _, x, *_ = make_graph()
    assert onnx_graph.constant_array(x) is None
    assert onnx_graph.constant_array(None) is None


def test_has_one_use() -> None:
    graph, x, relu, transpose = make_graph()
    assert onnx_graph.has_one_use(x)
    assert onnx_graph.has_one_use(relu.outputs[0])
    assert not onnx_graph.has_one_use(transpose.outputs[0])
    assert not onnx_graph.has_one_use(None)
    onnx_graph.insert_node(graph, "Abs", [x], {}, name="second user")
    assert not onnx_graph.has_one_use(x)
    graph.outputs.append(relu.outputs[0])
    assert not onnx_graph.has_one_use(relu.outputs[0])


def test_ints() -> None:
    _, _, relu, transpose = make_graph()
    assert onnx_graph.ints(transpose, "perm") == [0, 2, 1]
    assert onnx_graph.ints(relu, "pads") == []
    assert onnx_graph.ints(relu, "pads", [0, 0]) == [0, 0]


def test_bypass_gives_users_and_outputs_the_input() -> None:
    graph, x, relu, transpose = make_graph()
    onnx_graph.bypass(graph, relu)
    assert [node.op_type for node in graph] == ["Transpose"]
    assert transpose.inputs[0] is x
    onnx_graph.bypass(graph, transpose)
    assert list(graph.outputs) == [x]


def test_bypass_needs_an_input() -> None:
    graph, *_ = make_graph()
    node = ir.node("Resize", [None], name="resize")
    graph.append(node)
    with pytest.raises(ValueError, match="resize: expected a first input"):
        onnx_graph.bypass(graph, node)


def test_layer_of() -> None:
    _, _, relu, transpose = make_graph()
    assert [onnx_graph.layer_of(node) for node in (relu, transpose)] == ["block/relu", "move"]
