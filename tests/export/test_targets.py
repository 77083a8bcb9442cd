"""What each target has, and what is said of a model that needs more."""

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx.parser
import pytest

from export.convert import Options, convert
from export.errors import UserError
from export.evidence import read_evidence
from export.export import export_model
from export.targets import TARGETS, check_target
from kerasnorm import build_cnn
from tests.export.helpers import functional, randomize

L = keras.layers
MODELS: dict[str, Callable[[], keras.Model]] = {
    "gn": lambda: build_cnn("gn"),
    "resizing": lambda: functional((5, 6, 3), L.Conv2D(2, 3), L.Resizing(7, 8)),
    "bidirectional": lambda: functional((9, 3), L.Bidirectional(L.LSTM(4, return_sequences=True))),
    "masked": lambda: masked_model(),
    "LSTM": lambda: functional((None, 3), L.LSTM(4)),
    "ConvLSTM": lambda: functional((3, 5, 5, 1), L.ConvLSTM2D(2, 2)),
    "log-sum-exp": lambda: functional((4, 3), lambda x: keras.ops.logsumexp(x, axis=1)),
    "attention": lambda: functional(
        (4, 6), lambda x: L.MultiHeadAttention(2, 3)(x, x), L.LayerNormalization()
    ),
}


def text_model() -> keras.Model:
    x = keras.Input((1,), dtype="string", name="x")
    return keras.Model(x, L.TextVectorization(vocabulary=["a", "b"], name="words")(x))


def lookup_model() -> keras.Model:
    x = keras.Input((1,), dtype="int32", name="x")
    return keras.Model(x, L.IntegerLookup(vocabulary=[7, 8], name="codes")(x))


def masked_model() -> keras.Model:
    return functional((None, 3), L.Masking(), L.LSTM(4, name="memory"))


def model_of_two_directions() -> keras.Model:
    x = keras.Input((None, 3), name="x")
    return keras.Model(x, [L.GRU(4, name="gru")(x), L.GRU(4, go_backwards=True, name="back")(x)])


def model_of_masked_states() -> keras.Model:
    x = keras.Input((None, 3), name="x")
    return keras.Model(x, L.LSTM(4, return_state=True, name="memory")(L.Masking()(x)))


def hashing_model() -> keras.Model:
    x = keras.Input((1,), dtype="int64", name="x")
    return keras.Model(x, L.Hashing(5, name="hash")(x))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MODELS)
def test_graph_keeps_to_its_target(name: str, target: str) -> None:
    conversion, runtime = convert(MODELS[name](), Options(route="direct", target=target)), TARGETS[target]
    assert runtime.lowest_opset <= conversion.opset <= runtime.highest_opset
    assert conversion.opset == runtime.opset
    nodes = {(node.domain, node.op_type) for node in conversion.model.graph.node}
    assert nodes
    assert not runtime.missing.intersection(op_type for _, op_type in nodes)
    assert {domain for domain, _ in nodes} <= runtime.domains
    assert (("", "GroupNormalization") in nodes) == (runtime.portable and name == "gn")


@pytest.mark.parametrize(
    ("target", "build", "problem"),
    [
        ("openvino", text_model, r"got input 'x' of type string"),
        ("openvino", lookup_model, r"got LabelEncoder in layer 'codes'"),
        ("openvino", model_of_masked_states, r"got LSTM with lengths of sequences in layer 'memory'"),
        (
            "openvino",
            model_of_two_directions,
            r"got GRU in the direction opposite to another one's .* in layer '(gru|back)'",
        ),
        ("openvino", hashing_model, r"got \w+ with integers of more than 32 bits in layer 'hash'"),
        ("tensorrt", text_model, r"got input 'x' of type string"),
        ("tensorrt", lookup_model, r"got LabelEncoder in layer 'codes'"),
    ],
)
def test_model_that_needs_what_a_target_lacks(
    target: str, build: Callable[[], keras.Model], problem: str
) -> None:
    title = TARGETS[target].title
    with pytest.raises(
        UserError, match=rf"^target {target}: expected what {title} can run, {problem}; choose another"
    ):
        convert(build(), Options(route="direct", target=target))


def test_layer_that_needs_a_higher_opset_than_a_target_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "old", dataclasses.replace(TARGETS["onnxruntime"], highest_opset=19))
    with pytest.raises(
        UserError,
        match=r"^target old: expected operators of opset 19 or lower, got words: StringSplit, which needs ",
    ):
        convert(text_model(), Options(route="direct", target="old"))


@pytest.mark.parametrize("target", ["onnxruntime", "onnxruntime-web", "portable"])
def test_targets_with_all_operators(target: str) -> None:
    for build in (text_model, lookup_model, masked_model, hashing_model):
        assert convert(build(), Options(target=target)).opset >= TARGETS[target].opset


def graph(body: str) -> onnx.ModelProto:
    text = f'<ir_version: 8, opset_import: ["": 18]> g (float[N, 1, 4, 4] x) => (float[N, A, B, C] y) {body}'
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize(
    ("target", "body", "problem"),
    [
        ("tensorrt", "{ y = MaxPool <kernel_shape = [2, 2], dilations = [1, 1]> (x) }", None),
        (
            "tensorrt",
            "{ y = MaxPool <kernel_shape = [2, 2], dilations = [1, 2]> (x) }",
            "MaxPool with dilations=1, 2",
        ),
        (
            "tensorrt",
            '<float[4] s = {1., 1., 2., 2.}> { y = Resize <mode = "cubic"> (x, , s) }',
            "Resize with mode=cubic",
        ),
        ("tensorrt", "{ d = Cast <to = 11> (x)  y = Cast <to = 1> (d) }", "Cast with to=11"),
        (
            "openvino",
            "<int64[1] i = {3000000000}> { y = Gather(x, i) }",
            "Gather with integers of more than 32 bits",
        ),
        ("openvino", "<int64[1] i = {-3}> { y = Gather(x, i) }", None),
        (
            "openvino",
            "<int64[1] a = {0}, int64[1] b = {9223372036854775807}> { y = Slice(x, a, b) }",
            None,
        ),
        (
            "openvino",
            "<bool c = {1}> { y = If (c) <then_branch = t () => (float t) { t = Det(x) }, "
            "else_branch = e () => (float e) { e = Det(x) }> }",
            "Det",
        ),
        ("tensorrt", "{ y = com.example.Fast(x) }", "Fast"),
    ],
)
def test_forms_of_operators(target: str, body: str, problem: str | None) -> None:
    if problem is None:
        check_target(graph(body), target)
        return
    with pytest.raises(UserError, match=rf"got {problem} in layer ''"):
        check_target(graph(body), target)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="needs openvino: pip install openvino"
)
@pytest.mark.parametrize("name", MODELS)
def test_openvino_computes_what_keras_computes(name: str, tmp_path: Path) -> None:
    import openvino

    path, check = tmp_path / "model.onnx", tmp_path / "check.zip"
    export_model(randomize(MODELS[name]()), path, Options(target="openvino"), check=check)
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    examples, _ = read_evidence(check)
    for example in examples:
        results: Any = compiled(example.inputs)
        for index, true in enumerate(example.outputs.values()):
            scale = float(np.sqrt(np.mean(np.square(true))))
            np.testing.assert_allclose(results[index], true, rtol=1e-4, atol=1e-4 * scale)
