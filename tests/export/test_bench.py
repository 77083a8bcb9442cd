import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import onnx
import onnx.parser
import pytest

from export.bench import bench, cli, table
from export.convert import Options
from export.export import export_model
from kerasnorm import build_cnn
from tests.export.helpers import functional, randomize


def test_rows_for_each_batch_size_and_number_of_threads(tmp_path: Path) -> None:
    model = randomize(build_cnn("bn"))
    model.save(tmp_path / "model.keras")
    export_model(model, tmp_path / "model.onnx")
    rows = bench(
        tmp_path / "model.onnx", tmp_path / "model.keras", batches=[1, 4], threads=[0, 1], seconds=0.2
    )
    names = {"kerasnorm", "Keras' export", "tf2onnx route", "tf.function"}
    assert {row["name"] for row in rows} == names
    assert {row["name"] for row in rows if row["threads"] == 1} == names - {"tf.function"}
    assert {(row["batch"], row["threads"]) for row in rows} == {(1, 0), (4, 0), (1, 1), (4, 1)}
    assert all(row["ratio"] == 1 for row in rows if row["name"] == "kerasnorm")


def test_model_of_several_inputs(tmp_path: Path) -> None:
    one, two = keras.Input((8,), name="one"), keras.Input((5,), dtype="int32", name="two")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(3, 4)(two))
    model = randomize(keras.Model([one, two], [keras.layers.Concatenate()([one, embedded]), embedded]))
    model.save(tmp_path / "model.keras")
    export_model(model, tmp_path / "model.onnx")
    rows = bench(tmp_path / "model.onnx", tmp_path / "model.keras", batches=[2], seconds=0.1)
    assert {"kerasnorm", "tf.function"} <= {row["name"] for row in rows}


def test_failing_exporter_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """tf2onnx, which Keras' own export uses as well, writes an operator for GELU that ONNX doesn't have."""
    model = functional((8,), keras.layers.Dense(3, activation="gelu"))
    model.save(tmp_path / "model.keras")
    export_model(model, tmp_path / "model.onnx")
    rows = bench(tmp_path / "model.onnx", tmp_path / "model.keras", batches=[2], seconds=0.1)
    assert {row["name"] for row in rows} == {"kerasnorm", "tf.function"}
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(
        "Keras' export fails: the graph: expected an ONNX model that onnxruntime can run"
    )
    assert lines[1].startswith("tf2onnx route fails: ")


def test_table() -> None:
    lines = table(
        [
            {
                "name": "kerasnorm",
                "batch": 32,
                "threads": 0,
                "median_ms": 1.5,
                "p05_ms": 1.25,
                "p95_ms": 2.0,
                "images_per_second": 21333.3,
                "calls": 20,
                "ratio": 1.0,
            }
        ]
    ).splitlines()
    assert lines[2] == "| 32 | all | kerasnorm | 1.500 | 1.250 .. 2.000 | 21,333 | 1.00 |"


@pytest.fixture
def command(here: Callable[..., Any]) -> Callable[..., Any]:
    return partial(here, cli)


def test_command_prints_the_table_and_writes_the_rows(tmp_path: Path, command: Callable[..., Any]) -> None:
    export_model(build_cnn("bn"), tmp_path / "model.onnx", Options(batch=2))
    json_file = tmp_path / "rows.json"
    code, output, errors = command(
        tmp_path / "model.onnx", "--batches", 2, "--seconds", 0.05, "--json", json_file
    )
    assert (code, errors) == (0, "")
    assert "| 2 | all | kerasnorm |" in output
    (row,) = json.loads(json_file.read_text())
    assert (row["batch"], row["threads"], row["ratio"]) == (2, 0, 1)


def test_unusable_options_are_one_line_and_exit_code_2(tmp_path: Path, command: Callable[..., Any]) -> None:
    export_model(build_cnn("bn"), tmp_path / "model.onnx", Options(batch=2))
    code, _, errors = command(tmp_path / "model.onnx", "--batches", 3, "--seconds", 0.05)
    assert code == 2
    assert "expected a model that takes batches of 3; its batch is fixed" in errors
    code, _, errors = command(tmp_path / "model.onnx", "--batches", 0)
    assert code == 2
    assert "expected batches of 1 or more" in errors


@pytest.mark.parametrize(
    ("declared", "node", "message"),
    [
        ("float[N, 60000, 60000, 1]", "Identity(x)", "expected at most 100 times"),
        ("float[N, A, B, C, D, E, F, 100]", "Identity(x)", "bytes of an image of input 'x'"),
        ("string[N, 3]", "Identity(x)", "expected numbers as input 'x', got tensor(string)"),
        ("float[]", "Identity(x)", "expected a model that takes batches of 2"),
        ("float[N, 3]", "MatMul(x, x)", "expected a model that runs with inputs of float32 (2, 3)"),
    ],
)
def test_model_that_cannot_be_timed(
    declared: str, node: str, message: str, tmp_path: Path, command: Callable[..., Any]
) -> None:
    text = f'<ir_version: 8, opset_import: ["": 17]> f ({declared} x) => ({declared} y) {{ y = {node} }}'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
    code, output, errors = command(tmp_path / "model.onnx", "--batches", 2, "--seconds", 0.05)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert message in errors
