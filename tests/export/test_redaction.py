"""What a bug report leaves out of configurations and graphs."""

import os

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from export.redaction import redacted_config, redacted_graph, without_home


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"vocabulary": ["a", "b"]}, {"vocabulary": ["word0", "word1"]}),
        ({"vocabulary": [7, 9]}, {"vocabulary": [1, 2]}),
        (
            {"vocabulary": None, "vocabulary_size": 4, "num_oov_indices": 1, "mask_token": ""},
            {"vocabulary": ["word0", "word1"], "vocabulary_size": 4, "num_oov_indices": 1, "mask_token": ""},
        ),
        (
            {"vocabulary": "/secret/words.txt", "vocabulary_size": 3, "vocabulary_dtype": "int64"},
            {"vocabulary": [1, 2], "vocabulary_size": 3, "vocabulary_dtype": "int64"},
        ),
        ({"vocabulary": {"any": "thing"}}, {"vocabulary": None}),
        ({"compile_config": {"loss": "mine"}, "name": "x"}, {"name": "x"}),
        ({"prompt": "p" * 201, "mode": "same"}, {"prompt": "left out: 201 characters", "mode": "same"}),
        ({"strides": [2, 2], "mean": [0.5, 0.25, 0.125]}, {"strides": [2, 2], "mean": [0.5, 0.25, 0.125]}),
        ({"bins": [0.5] * 17}, {"bins": [float(n) for n in range(1, 18)]}),
        ({"indices": [*range(8), *range(8), 7]}, {"indices": [n % 8 for n in range(17)]}),
        (
            {"table": [[0.5] * 9] * 2},
            {"table": [[float(n) for n in range(1, 10)], [float(n) for n in range(10, 19)]]},
        ),
        ({"names": [f"n{n}" for n in range(17)]}, {"names": [f"word{n}" for n in range(17)]}),
        ({"mixed": [float("nan"), *range(16)]}, {"mixed": [1.0, *range(1, 16), 0]}),
        (
            {"class_name": "__lambda__", "config": {"code": "4wEA", "defaults": [1], "closure": None}},
            {"class_name": "__lambda__", "config": {"code": "left out", "defaults": None, "closure": None}},
        ),
        (
            {"class_name": "__bytes__", "config": {"value": "secret"}},
            {"class_name": "__bytes__", "config": {"value": ""}},
        ),
    ],
)
def test_data_becomes_made_up_data(config: object, expected: object) -> None:
    assert redacted_config(config) == expected
    assert redacted_config([{"inner": config}]) == [{"inner": expected}]


def test_the_structure_of_a_graph() -> None:
    weights = numpy_helper.from_array(np.full((3, 4), 0.5, np.float32), "w")
    shape = numpy_helper.from_array(np.array([-1, 4]), "shape")
    words = numpy_helper.from_array(np.array(["secret"], object), "words")
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value_floats=[0.5] * 20, doc_string="secret")],
        "branch",
        [],
        [],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"], name="dense", doc_string="secret"),
        helper.make_node("Transpose", ["y"], ["t"], perm=[1, 0]),
        helper.make_node(
            "LabelEncoder", ["t"], ["l"], domain="ai.onnx.ml", keys_strings=["secret"], values_int64s=[5]
        ),
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.arange(20), "k")),
        helper.make_node("If", ["b"], ["z"], then_branch=branch, else_branch=branch),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 3])
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [], [weights, shape, words]))
    model.metadata_props.add(key="class_names", value="secret")
    before = model.SerializeToString()

    redacted = redacted_graph(model)
    assert model.SerializeToString() == before
    assert b"secret" not in redacted.SerializeToString()
    assert [node.op_type for node in redacted.graph.node] == [node.op_type for node in nodes]
    kept = {tensor.name: tensor for tensor in redacted.graph.initializer}
    assert (list(kept["w"].dims), kept["w"].data_type, kept["w"].raw_data) == (
        [3, 4],
        onnx.TensorProto.FLOAT,
        b"",
    )
    np.testing.assert_array_equal(numpy_helper.to_array(kept["shape"]), [-1, 4])
    assert list(redacted.graph.node[1].attribute[0].ints) == [1, 0]
    assert [list(attribute.ints) for attribute in redacted.graph.node[2].attribute] == [[], []]
    assert redacted.graph.node[3].attribute[0].t.raw_data == b""
    assert not redacted.graph.node[4].attribute[0].g.node[0].attribute[0].floats
    assert redacted.graph.input == model.graph.input


def test_the_home_folder_is_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: "C:\\Users\\me")
    assert without_home("C:\\Users\\me\\m.keras, C:\\\\Users\\\\me\\\\x") == "~\\m.keras, ~\\\\x"
    monkeypatch.setattr(os.path, "expanduser", lambda path: "/")
    assert without_home("/a/b") == "/a/b"
