import json
from pathlib import Path

import keras
import pytest

from export.errors import UserError
from export.model_file import is_keras_2, read_config
from tests.export.helpers import functional
from tests.export.keras2.helpers import MODELS


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".hdf5"])
def test_config_is_that_of_the_model(suffix: str, tmp_path: Path) -> None:
    functional((4,), keras.layers.Dense(3, name="dense")).save(tmp_path / f"model{suffix}")
    config = json.loads(read_config(tmp_path / f"model{suffix}"))
    assert config["config"]["layers"][1]["config"]["units"] == 3
    assert not is_keras_2(tmp_path / f"model{suffix}")


def test_keras_2_is_recognized(tmp_path: Path) -> None:
    assert is_keras_2(MODELS / "cnn.h5")
    assert is_keras_2(MODELS / "stock.keras")
    assert is_keras_2(MODELS / "cnn-saved")
    assert is_keras_2(MODELS / "stock.h5")
    assert not is_keras_2(tmp_path)
    assert not is_keras_2(tmp_path / "gone.h5")


def test_weights_alone(tmp_path: Path) -> None:
    functional((4,), keras.layers.Dense(3)).save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(UserError, match=r"model\.weights\.h5: expected a whole model, got weights alone"):
        read_config(tmp_path / "model.weights.h5")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model", "expected a .keras or .h5 file, got no suffix"),
        ("model.onnx", "expected a .keras or .h5 file, got .onnx"),
        ("model.keras", "expected a Keras model, got a file that is no .keras archive, or a part of one"),
        ("model.h5", "expected a Keras model that can be loaded: .*file signature not found"),
    ],
)
def test_file_of_another_format(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("hello")
    with pytest.raises(UserError, match=f"{name}: {message}"):
        read_config(tmp_path / name)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.h5: expected a Keras model, found nothing of that name"):
        read_config(tmp_path / "gone.h5")
