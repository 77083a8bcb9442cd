"""The metadata of an exported model."""

import json

import keras
import onnx

from export.metadata import count_nodes, set_metadata
from kerasnorm import build_cnn
from tests.export.helpers import converted


def test_metadata_of_an_exported_model() -> None:
    names = tuple("abcdefghij")
    conversion = converted(build_cnn("ln"), class_names=names, input_range=None)
    metadata = {entry.key: entry.value for entry in conversion.model.metadata_props}
    assert metadata["model"] == "cnn_ln"
    assert metadata["route"] == "direct"
    assert metadata["opset"] == "17"
    assert metadata["keras"] == keras.__version__
    assert metadata["onnx"] == onnx.__version__
    assert metadata["exporter"].startswith("kerasnorm ")
    assert metadata["target"] == "onnxruntime"
    assert (metadata["input_layout"], metadata["output_layout"]) == ("nhwc", "nhwc")
    assert json.loads(metadata["input_range"]) == [0, 255]
    assert json.loads(metadata["class_names"]) == list(names)


def test_set_metadata_replaces_entries() -> None:
    model = onnx.ModelProto()
    set_metadata(model, {"a": "1", "b": "2"})
    set_metadata(model, {"b": "3", "c": "4"})
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [
        ("a", "1"),
        ("b", "3"),
        ("c", "4"),
    ]


def test_count_nodes_by_operator_in_alphabetical_order() -> None:
    nodes = [onnx.helper.make_node(op_type, ["x"], ["y"]) for op_type in ("Relu", "Abs", "Relu")]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "test", [], []))
    assert list(count_nodes(model).items()) == [("Abs", 1), ("Relu", 2)]
