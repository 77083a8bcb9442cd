"""Nodes of TensorFlow's graph as TensorFlow 2.2 wrote them, against NumPy."""

from typing import Any

import keras
import numpy as np
import pytest

from export.errors import UserError
from export.keras2.functional import build_model

X = np.random.default_rng(0).normal(size=(2, 4, 6)).astype(np.float32)
P = np.abs(X) + 0.5


def bits(**masks: int) -> dict[str, Any]:
    return {f"{name}_mask": {"i": str(value)} for name, value in masks.items()}


def model_of(op: str, constants: dict[str, Any], attributes: dict[str, Any], tensors: int = 1) -> keras.Model:
    shape = [None, 4, 6]
    inputs = [
        {
            "class_name": "InputLayer",
            "name": name,
            "inbound_nodes": [],
            "config": {"name": name, "batch_input_shape": shape},
        }
        for name in "xy"[:tensors]
    ]
    name = f"tf_op_layer_{op}"
    config = {"name": op, "node_def": {"name": op, "op": op, "attr": attributes}, "constants": constants}
    node = {
        "class_name": "TensorFlowOpLayer",
        "name": name,
        "config": config,
        "inbound_nodes": [[[one, 0, 0, {}] for one in "xy"[:tensors]]],
    }
    ends = {"input_layers": [[one, 0, 0] for one in "xy"[:tensors]], "output_layers": [[name, 0, 0]]}
    return build_model({"class_name": "Model", "config": {"name": "m", "layers": [*inputs, node], **ends}})


@pytest.mark.parametrize(
    ("op", "constants", "attributes", "expected"),
    [
        ("AddV2", {"1": 2.0}, {}, X + 2),
        ("Sub", {"0": 1.0}, {}, 1 - X),
        ("Mul", {"1": [1.0, 2, 3, 4, 5, 6]}, {}, X * np.arange(1, 7)),
        ("RealDiv", {"1": 4.0}, {}, X / 4),
        ("Neg", {}, {}, -X),
        ("Relu", {}, {}, np.maximum(X, 0)),
        ("Square", {}, {}, X**2),
        ("Mean", {"1": [1, 2]}, {"keep_dims": {"b": True}}, X.mean((1, 2), keepdims=True)),
        ("Sum", {"1": 1}, {}, X.sum(1)),
        ("Max", {"1": [-1]}, {"keep_dims": {"b": False}}, X.max(-1)),
        ("Reshape", {"1": [-1, 3, 8]}, {}, X.reshape(2, 3, 8)),
        ("Transpose", {"1": [0, 2, 1]}, {}, X.transpose(0, 2, 1)),
        ("ExpandDims", {"1": 1}, {}, X[:, None]),
        ("Squeeze", {}, {"squeeze_dims": {"list": {"i": ["1"]}}}, None),
        ("ConcatV2", {"1": -1}, {}, X),
        ("Pad", {"1": [[0, 0], [1, 0], [0, 2]]}, {}, np.pad(X, [(0, 0), (1, 0), (0, 2)])),
        ("MatMul", {"1": np.eye(6).tolist()}, {"transpose_b": {"b": True}}, X),
        (
            "StridedSlice",
            {"1": [0, 1, 0], "2": [0, 3, 0], "3": [1, 1, 2]},
            bits(begin=5, end=5),
            X[:, 1:3, ::2],
        ),
        ("StridedSlice", {"1": [0, 2], "2": [0, 3], "3": [1, 1]}, bits(ellipsis=1, shrink_axis=2), X[..., 2]),
        (
            "StridedSlice",
            {"1": [0, 0], "2": [0, 0], "3": [1, 1]},
            bits(begin=1, end=1, new_axis=2),
            X[:, None],
        ),
    ],
)
def test_nodes(op: str, constants: dict[str, Any], attributes: dict[str, Any], expected: Any) -> None:
    if expected is None:
        with pytest.raises(UserError, match=r"tf\.squeeze: expected a call"):
            model_of(op, constants, attributes)
        return
    np.testing.assert_allclose(model_of(op, constants, attributes)(X), expected, rtol=1e-6, atol=1e-6)


def test_node_of_two_tensors() -> None:
    np.testing.assert_allclose(model_of("Maximum", {}, {}, 2)([X, -X]), np.abs(X), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(model_of("ConcatV2", {"2": 1}, {}, 2)([X, P]), np.concatenate([X, P], 1))
    np.testing.assert_array_equal(model_of("Pack", {}, {"axis": {"i": "1"}}, 2)([X, P]), np.stack([X, P], 1))


def test_unknown_node_is_named() -> None:
    with pytest.raises(
        UserError, match=r"tf_op_layer_Fact: expected an operation that keras\.ops has, too, got Ten"
    ):
        model_of("Fact", {}, {})
