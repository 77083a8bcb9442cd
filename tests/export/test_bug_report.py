"""--report: what is in a bug report, whatever becomes of the export, and that it reproduces a failure."""

import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import onnx
import pytest

from export import reproduce
from export.__main__ import cli
from export.bug_report import Findings, write_report
from export.custom_code import import_code
from tests.conftest import Here

L = keras.layers
WRONG = """
import keras
from export.lowerings import register_lowering

@keras.saving.register_keras_serializable("mine")
class Twice(keras.layers.Layer):
    def call(self, x):
        return x * 2

@register_lowering(Twice)
def lower_twice(g, layer, x):
    return g.like(x, g.op("Add", x.value, g.op("Add", x.value, x.value)))  # three times
"""


@pytest.fixture
def export(here: Here) -> Callable[..., "tuple[int, str, str]"]:
    return partial(here, cli)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def small(path: Path, *layers: keras.layers.Layer) -> Path:
    keras.Sequential([keras.Input((3,), name="x"), *layers, L.Dense(2)]).save(path)
    return path


def test_a_failure_can_be_reproduced_without_the_data(
    export: Callable[..., Any], here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    code = tmp_path / "wrong_lowering.py"
    code.write_text(WRONG)
    twice = import_code(str(code))["Twice"]
    word = keras.Input((1,), dtype="string", name="word")
    x = keras.Input((3,), name="x")
    ids = L.StringLookup(vocabulary=[f"secret{n}" for n in range(20)])(word)
    features = L.Concatenate()([L.Flatten()(L.Embedding(21, 4)(ids)), x])
    keras.Model([word, x], L.Dense(2, name="head")(twice(name="twice")(features))).save(
        tmp_path / "model.keras"
    )

    options = ("--import", code, "--quick", "--class-names", "secret1,secret2")
    failed, output, errors = export(tmp_path / "model.keras", *options, "--report", tmp_path / "bug.zip")
    assert failed == 1
    assert errors.count("\n") == 1
    assert "the first layer that diverges is 'twice'" in errors
    assert (
        "bug.zip: report.json, config.json, graph.onnx, traceback.txt. In it: versions, options, " in output
    )
    assert "Not in it: weights, check data, vocabularies, class names, code" in output
    assert "Nothing was sent" in output

    found = members(tmp_path / "bug.zip")
    for name, data in found.items():
        assert b"secret" not in data, name
        assert str(tmp_path).encode() not in data, name
    report = json.loads(found["report.json"])
    assert (report["error"], report["exit_code"]) == ("ParityError", 1)
    assert f"error: {report['message']}\n" == errors
    assert report["arguments"]["model"] == "~/model.keras"
    assert report["arguments"]["class_names"] == "2 names"
    assert report["versions"].keys() > {"kerasnorm", "python", "keras", "tensorflow", "onnx", "onnxruntime"}
    assert report["layers"]["Twice"] == 1
    assert report["parity"]["passed"] is False
    assert report["parity"]["max_abs"] > 0.01
    assert b"export.errors.ParityError: " in found["traceback.txt"]
    kinds = [node.op_type for node in onnx.load_from_string(found["graph.onnx"]).graph.node]
    assert kinds.count("Add") == 2

    again = ("-o", tmp_path / "again.keras", "--import", code)
    assert here(reproduce.cli, tmp_path / "bug.zip", *again)[0] == 0
    failed, _, errors = export(tmp_path / "again.keras", *options)
    assert failed == 1
    assert "the first layer that diverges is 'twice'" in errors


def test_a_success_is_reported_too(export: Callable[..., Any], tmp_path: Path) -> None:
    path = small(tmp_path / "model.keras")
    code, output, errors = export(path, "--quick", "--report", tmp_path / "bug.zip")
    assert (code, errors) == (0, "")
    assert output.splitlines()[-1].startswith(
        f"{tmp_path / 'bug.zip'}: report.json, config.json, graph.onnx. "
    )
    report = json.loads(members(tmp_path / "bug.zip")["report.json"])
    assert (report["error"], report["message"]) == (None, "the export succeeded")
    assert report["parity"]["passed"] is True


@pytest.mark.parametrize(
    ("model", "options", "expected", "note"),
    [
        ("damaged", "", ["report.json", "traceback.txt"], "no configuration could be read: UserError: "),
        ("lambda", "", ["report.json", "config.json", "traceback.txt"], None),
        (
            "unsupported",
            "--route direct",
            ["report.json", "config.json", "traceback.txt"],
            "no graph: UserError: ",
        ),
    ],
)
def test_a_model_that_can_t_be_loaded_or_converted(
    export: Callable[..., Any],
    tmp_path: Path,
    model: str,
    options: str,
    expected: list[str],
    note: str | None,
) -> None:
    path = tmp_path / "model.keras"
    if model == "damaged":
        path.write_bytes(b"PK\x03\x04")
    elif model == "lambda":
        small(path, L.Lambda(lambda x: x * 2))
    else:
        small(path, L.Reshape((3, 1, 1)), L.AveragePooling2D(1, padding="valid"), L.Flatten(), Opaque())
    code, output, errors = export(path, *options.split(), "--report", tmp_path / "bug.zip")
    assert code == 2
    assert errors.count("\n") == 1
    assert "Nothing was sent" in output
    found = members(tmp_path / "bug.zip")
    assert list(found) == expected
    report = json.loads(found["report.json"])
    assert f"error: {report['message']}\n" == errors
    assert [text for text in report["notes"] if note and text.startswith(note)] or note is None
    if model == "lambda":
        function = json.loads(found["config.json"])["config"]["layers"][1]["config"]["function"]
        assert function["config"] == {"code": "left out", "defaults": None, "closure": None}


@keras.saving.register_keras_serializable("tests")
class Opaque(keras.layers.Layer):
    """A layer that calls TensorFlow itself."""

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return tf.add(x, x)


def test_a_bug_keeps_its_traceback_and_gets_a_report(
    export: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small(tmp_path / "model.keras")
    monkeypatch.setattr("export.export.export_model", lambda *_, **__: 1 // 0)
    with pytest.raises(ZeroDivisionError, match="by zero"):
        export(path, "--report", tmp_path / "bug.zip")
    report = json.loads(members(tmp_path / "bug.zip")["report.json"])
    assert (report["error"], report["exit_code"]) == ("ZeroDivisionError", None)


@pytest.mark.parametrize("name", ["bug.txt", "missing/bug.zip", "folder.zip"])
def test_a_name_that_can_t_be_written_is_refused_first(
    export: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder.zip").mkdir()
    code, _, errors = export(tmp_path / "gone.keras", "--report", tmp_path / name)
    assert code == 2
    expected = "expected a name ending in .zip, in an existing folder; choose another with --report"
    assert errors == f"error: {tmp_path / name}: {expected}\n"


def test_what_the_export_says_is_more_important_than_a_report_that_can_t_be_written(
    export: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    code, _, errors = export(tmp_path / "gone.keras", "--report", tmp_path / "bug.zip")
    assert code == 2
    no_report, error = errors.splitlines()
    assert no_report.startswith(
        f"{tmp_path / 'bug.zip'}: not written: cannot write {tmp_path / 'bug.zip'}: No space left"
    )
    assert error.endswith("gone.keras: expected a Keras model, found no such file")
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_a_configuration(tmp_path: Path) -> None:
    class Plain(keras.Model):
        def __init__(self, secret: object) -> None:
            super().__init__()

    findings = Findings({"model": "gone.keras", "config": None}, model=Plain(object()))
    write_report(tmp_path / "bug.zip", findings)
    found = members(tmp_path / "bug.zip")
    assert list(found) in (["report.json"], ["report.json", "config.json"])
