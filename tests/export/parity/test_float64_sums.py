"""Sums in float64: the same operators to more digits; graphs that they let pass, and faults that they don't."""

from typing import Any

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.convert import convert
from export.parity import check_parity, float64_sums
from export.parity.float64_sums import with_float64_sums
from export.runtime import open_session

SHAPE = (2, 3, 5, 4)  # fewer numbers than the sums that are replaced usually have


def graph(
    kind: str, opset: int, inputs: int = 1, dtype: int = TensorProto.FLOAT, **options: Any
) -> onnx.ModelProto:
    """A graph of one node, whose further inputs are parameters of its second dimension or its last two."""
    shape = SHAPE[2:] if kind == "LayerNormalization" else SHAPE[1:2]
    rng = np.random.default_rng(0)
    names = ["x", *(f"p{index}" for index in range(1, inputs))]
    parameters = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name) for name in names[1:]
    ]
    if kind.startswith("Reduce"):  # the axes
        parameters = [numpy_helper.from_array(np.array([1, 3]), name) for name in names[1:]]
    node = helper.make_node(kind, names, ["y"], **options)
    values = (
        helper.make_tensor_value_info("x", dtype, SHAPE),
        helper.make_tensor_value_info("y", dtype, None),
    )
    made = helper.make_graph([node], "graph", [values[0]], [values[1]], parameters)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize(
    "model",
    [
        graph("ReduceMean", 17, axes=[1, 3]),
        graph("ReduceMean", 18, 2),
        graph("ReduceSum", 17, 2, keepdims=0),
        graph("ReduceL2", 17, axes=[1], keepdims=0),
        graph("ReduceSumSquare", 18, 2),
        graph("ReduceLogSumExp", 18, 2, keepdims=0),
        graph("GlobalAveragePool", 17),
        graph("GlobalAveragePool", 18),
        graph("InstanceNormalization", 17, 3, epsilon=1e-3),
        graph("LayerNormalization", 17, 3, axis=2),
        graph("LayerNormalization", 18, 2, axis=-2, epsilon=1e-2),
    ],
    ids=lambda model: f"{model.graph.node[0].op_type}-{model.opset_import[0].version}",
)
def test_operators_compute_the_same_and_the_graph_is_restored(
    model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(float64_sums, "MANY", 2)
    before = model.SerializeToString()
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    expected = open_session(before).run(None, {"x": x})[0]
    with with_float64_sums(model) as has_sums:
        assert has_sums
        assert all(TensorProto.DOUBLE in [a.i for a in node.attribute] for node in model.graph.node[:1])
        got = open_session(model.SerializeToString()).run(None, {"x": x})[0]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert model.SerializeToString() == before


def test_sums_of_integers_and_other_nodes_stay() -> None:
    """Neither do sums of a few numbers change."""
    for model in (graph("ReduceSum", 17, 2, TensorProto.INT64), graph("Relu", 17), graph("ReduceMean", 17)):
        before = model.SerializeToString()
        with with_float64_sums(model) as has_sums:
            assert not has_sums
            assert model.SerializeToString() == before


def large_normalization() -> keras.Model:
    """A normalization over 262,144 numbers."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((256, 256, 4))
    return keras.Model(inputs, keras.layers.GroupNormalization(1)(keras.layers.ReLU()(inputs)))


def test_a_normalization_of_large_images_passes() -> None:
    model = large_normalization()
    conversion = convert(model)
    parity = check_parity(model, conversion, batches=(1, 2))
    assert parity.passed
    (note,) = (note for note in parity.notes if "sums over many numbers" in note)
    assert note.startswith("onnxruntime's float32 sums over many numbers move")
    worst = parity.worst
    assert worst.max_abs > 8 * worst.keras_error  # it would not have passed
    assert all(
        np.isfinite(example.allowances[name][0]) for example in parity.examples for name in example.allowances
    )


def test_a_fault_in_a_normalization_of_large_images_is_found() -> None:
    model = large_normalization()
    conversion = convert(model)
    (epsilon,) = (a for node in conversion.proto.graph.node for a in node.attribute if a.name == "epsilon")
    epsilon.f = 10.0  # of the variance of pixels
    parity = check_parity(model, conversion, batches=(1, 2))
    assert not parity.passed
    assert not any("sums over many numbers" in note for note in parity.notes)
