"""Models saved by Keras 2.15 with tensorflow-addons 0.23 (tests/addons/save_models.py), read into Keras 3."""

import shutil
import subprocess
from pathlib import Path

import pytest

from export.errors import UserError
from export.keras2 import is_keras_2, load_model
from export.keras2.filter_response import FilterResponseNormalization
from tests.export.keras2.helpers import FILES, MODELS, REPLACED, SCRIPT, check_outputs, model_name


def test_all_formats_are_covered() -> None:
    assert len(FILES) == 11


@pytest.mark.parametrize("name", FILES)
def test_outputs_equal_those_of_tensorflow_addons(name: str) -> None:
    assert is_keras_2(MODELS / name)
    told: list[str] = []
    model = load_model(MODELS / name, tell=told.append)
    check_outputs(MODELS / name, model)
    assert len(told) == REPLACED[model_name(MODELS / name)]
    for layer in model._flatten_layers():
        assert type(layer).__module__.startswith("keras.") or type(layer) is FilterResponseNormalization


def test_replaced_layers_are_listed_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    load_model(MODELS / "cnn.h5")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "wn: WeightNormalization of tensorflow-addons replaced by Conv2D, normalization folded into its kernel"
    )
    assert lines[-1] == (
        "filter_response_normalization_1: FilterResponseNormalization of tensorflow-addons replaced by kerasnorm's"
    )


@pytest.mark.parametrize("name", ["maxout.h5", "maxout.keras"])
def test_unknown_layer_is_named(name: str) -> None:
    with pytest.raises(
        UserError, match=r"expected of tensorflow-addons only .*, got Maxout; build the model"
    ):
        load_model(MODELS / name)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found nothing of that name"):
        load_model(tmp_path / "gone.h5")


def test_truncated_file(tmp_path: Path) -> None:
    (tmp_path / "cut.h5").write_bytes((MODELS / "cnn.h5").read_bytes()[:3000])
    with pytest.raises(UserError, match=r"cut\.h5: expected a Keras model that can be loaded: .*truncated"):
        load_model(tmp_path / "cut.h5")


@pytest.mark.slow
def test_outputs_equal_those_of_the_installed_package(tmp_path: Path) -> None:
    python = next((name for name in ("python3.11", "python3.10") if shutil.which(name)), None)
    if python is None:
        pytest.skip(
            "tensorflow-addons needs Python 3.10 or 3.11, found neither: the fixtures alone were tested"
        )
    subprocess.run([python, "-m", "venv", tmp_path / "old"], check=True)
    packages = ["tensorflow-cpu==2.15.1", "tensorflow-addons==0.23.0"]
    pip: list[str | Path] = [tmp_path / "old/bin/pip", "install", "-q", *packages]
    if subprocess.run(pip, capture_output=True).returncode:
        pytest.skip(f"{' '.join(packages)} could not be installed: the fixtures alone were tested")
    done = subprocess.run(
        [tmp_path / "old/bin/python", SCRIPT, tmp_path / "models"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-500:]
    for name in FILES:
        path = tmp_path / "models" / name
        check_outputs(path, load_model(path, tell=lambda line: None))
