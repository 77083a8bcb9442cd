from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from export.convert import convert
from export.errors import CheckError
from export.parity import check_parity
from export.parity.rounding import Change, Rounding, in_float32, measure_rounding, rounded_examples
from export.passes.float16_weights import Float16WeightsPass
from export.runtime import open_session
from tests.export.helpers import functional, random_array

L = keras.layers


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    return ir.to_proto(Float16WeightsPass()(ir.from_proto(model)).model)


def change(tensor: str, before: Any, after: Any) -> Change:
    result = Change("y", tensor)
    for b, a in zip(before, after, strict=True):
        result.add(np.array(b, np.float32), np.array(a, np.float32))
    return result


def test_the_change_of_an_output() -> None:
    moved = change("output", [[[3.0, 4.0]], [[0.0, 5.0]]], [[[3.0, 4.5]], [[0.0, 5.0]]])
    assert moved.size == pytest.approx(np.sqrt(50 / 4))
    assert moved.move == pytest.approx(0.5 / np.sqrt(50))
    assert (moved.max_abs, moved.rows, moved.flipped) == (0.5, 2, 0)


@pytest.mark.parametrize(
    ("tensor", "rows", "flips", "message"),
    [
        ("logits", 200, 2, None),
        ("logits", 200, 3, "at most 1% other classes in 'y', got 3 of 200 rows"),
        ("logits", 4, 1, None),  # one row says nothing
        ("logits", 4, 2, "at most 1% other classes in 'y', got 2 of 4 rows"),
        ("output", 4, 2, None),  # the largest number of an output is no class
    ],
)
def test_flipped_classes(tensor: str, rows: int, flips: int, message: str | None) -> None:
    before = np.tile([1.0, 1.001], (rows, 1))
    after = before.copy()
    after[:flips] = [1.001, 1.0]
    rounding = Rounding([change(tensor, [before], [after])], 1, [], 10, 5)
    assert rounding.failure() == message


@pytest.mark.parametrize("moved", [1.02, np.nan, np.inf])
def test_an_output_that_moves(moved: float) -> None:
    rounding = Rounding([change("logits", [[[1.0]]], [[[moved]]])], 1, [], 10, 5)
    assert str(rounding.failure()).startswith("the logits of 'y' to move by at most 1% of their size, got ")


def test_a_file_that_computes_something_else_is_found() -> None:
    model = functional((8,), L.Dense(16, activation="relu"), L.Dense(5, activation="softmax"))
    conversion = convert(model)
    parity = check_parity(model, conversion, quick=True)
    after = halved(conversion.model)
    changes = measure_rounding(model, conversion, after, parity, quick=True)
    assert {(x.output, x.tensor) for x in changes} == {
        ("probabilities", "output"),
        ("probabilities", "logits"),
    }
    assert all(x.rows == 4 for x in changes)
    relu = next(node for node in after.graph.node if node.op_type == "Relu")
    relu.op_type = "Tanh"
    right = in_float32(halved(conversion.model))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.parity.rounding.in_float32", lambda _: right)
        with pytest.raises(
            CheckError, match="expected the file with float16 weights to compute what the same"
        ):
            measure_rounding(model, conversion, after, parity, quick=True)


def test_the_same_graph_with_rounded_weights_in_float32() -> None:
    conversion = convert(functional((8,), L.Dense(16), L.Dense(8)))
    after = halved(conversion.model)
    single = in_float32(after)
    onnx.checker.check_model(single, full_check=True)
    assert [node.op_type for node in single.graph.node] == ["Gemm", "Gemm"]
    assert {x.data_type for x in single.graph.initializer} == {onnx.TensorProto.FLOAT}
    x = {conversion.inputs[0]: random_array(3, 8)}
    got, want = (open_session(m.SerializeToString(), optimize=False).run(None, x)[0] for m in (single, after))
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_onnxruntime_runs_the_same_nodes_as_with_float32_weights(tmp_path: Path) -> None:
    layers = (L.Conv2D(8, 3, activation="relu"), L.BatchNormalization(), L.Flatten(), L.Dense(8))
    before = convert(functional((8, 8, 3), *layers)).model
    nodes = []
    for model in (before, halved(before)):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        options.log_severity_level = 4
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        optimized = onnx.load(options.optimized_model_filepath).graph
        nodes.append([(node.op_type, len(node.input)) for node in optimized.node])
        assert {x.data_type for x in optimized.initializer} <= {
            onnx.TensorProto.FLOAT,
            onnx.TensorProto.INT64,
        }
    assert nodes[0] == nodes[1]


def test_examples_have_the_outputs_of_the_rounded_weights() -> None:
    model = functional((8,), L.Dense(16))
    conversion = convert(model)
    parity = check_parity(model, conversion, quick=True)
    after = halved(conversion.model)
    [first, _] = rounded_examples(after, parity.examples)
    [name] = first.outputs
    got = open_session(after.SerializeToString()).run(None, first.inputs)[0]
    np.testing.assert_allclose(got, first.outputs[name], rtol=1e-6, atol=1e-6)
    assert np.abs(first.outputs[name] - parity.examples[0].outputs[name]).max() > 1e-5
    assert first.allowances[name] == tuple(2 * x for x in parity.examples[0].allowances[name])
