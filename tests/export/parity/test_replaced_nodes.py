import onnx
import pytest

from export.parity.replaced_nodes import with_nodes


def test_nodes_are_replaced_and_come_back_after_an_error_too() -> None:
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in "xy"]
    nodes = [onnx.helper.make_node("Relu", ["x"], ["z"]), onnx.helper.make_node("Abs", ["z"], ["y"])]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "graph", values[:1], values[1:]))
    before = model.SerializeToString()
    # One of the graph's own nodes may be among the others.
    others = [onnx.helper.make_node("Neg", ["x"], ["z"]), model.graph.node[1]]

    def fail() -> None:
        with with_nodes(model, others):
            assert [node.op_type for node in model.graph.node] == ["Neg", "Abs"]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert model.SerializeToString() == before
