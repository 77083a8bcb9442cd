"""The model of a bug report, made again; the whole way is tested in test_bug_report.py."""

import json
import zipfile
from pathlib import Path

import keras
import pytest

from export import reproduce
from export.reproduce import model_of_report
from tests.conftest import Here

DENSE = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def write(path: Path, config: object) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
    return path


def test_a_model_with_random_weights(tmp_path: Path) -> None:
    model = model_of_report(write(tmp_path / "bug.zip", DENSE.to_json()))
    assert model.output_shape == (None, 2)
    assert [weight.shape for weight in model.weights] == [(3, 2), (2,)]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("no JSON", "Expecting value"),
        (
            {"class_name": "Dense", "module": "keras.layers", "config": {"units": 2}},
            "a Keras model, got Dense",
        ),
        (
            DENSE.to_json().replace('"keras.layers", "class_name": "Dense"', '"mine", "class_name": "Own"'),
            "it needs code that Keras does not have: Own; name a Python file with it with --import",
        ),
        (
            keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x)]).to_json(),
            "it has a Lambda layer, whose code is not in the report",
        ),
        ({"class_name": "system", "module": "os", "config": {}}, "expected a bug report"),
    ],
)
def test_a_report_that_can_t_be_built_is_one_line(
    here: Here, tmp_path: Path, config: object, message: str
) -> None:
    path = write(tmp_path / "bug.zip", config)
    code, _, errors = here(reproduce.cli, path, "-o", tmp_path / "model.keras")
    assert code == 2
    assert errors.count("\n") == 1
    assert f"{path}: expected a bug report" in errors
    assert message in errors
    assert not (tmp_path / "model.keras").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone.zip", "-o", "model.keras"), "gone.zip: expected a bug report, found no file of that name"),
        (("bug.zip", "-o", "model.onnx"), "model.onnx: expected a name ending in .keras"),
        (
            ("text.zip", "-o", "model.keras"),
            "text.zip: expected a bug report with a model that can be built: File is",
        ),
    ],
)
def test_wrong_use_is_one_line(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "bug.zip", DENSE.to_json())
    (tmp_path / "text.zip").write_text("no archive")
    code, _, errors = here(reproduce.cli, *arguments)
    assert (code, errors.count("\n")) == (2, 1)
    assert message in errors
