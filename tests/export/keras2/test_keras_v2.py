import zipfile
from pathlib import Path

import h5py
import pytest

from export.errors import UserError
from export.hdf5 import WEIGHTS
from export.keras2 import load_model
from tests.export.keras2.helpers import MODELS, check_outputs


def unpack(name: str, folder: Path) -> Path:
    """Unpack a .keras file and return its weights."""
    with zipfile.ZipFile(MODELS / name) as archive:
        archive.extractall(folder / "parts")
    return folder / "parts" / WEIGHTS


def pack(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for part in (folder / "parts").iterdir():
            archive.write(part, part.name)
    return path


def test_weights_of_an_optimizer_are_left_out(tmp_path: Path) -> None:
    with h5py.File(unpack("cnn.keras", tmp_path), "r+") as file:
        file["optimizer/vars/0"] = [1.0]
    path = pack(tmp_path, tmp_path / "trained.keras")
    model = load_model(path, tell=lambda line: None)
    check_outputs(MODELS / "cnn.keras", model)


def test_missing_weights_of_a_wrapper(tmp_path: Path) -> None:
    with h5py.File(unpack("cnn.keras", tmp_path), "r+") as file:
        layers = file["layers"] if "layers" in file else file["_layer_checkpoint_dependencies"]
        del layers["weight_normalization"]
    with pytest.raises(
        UserError, match=r"expected a Keras 2 model that can be rebuilt .*weight_normalization"
    ):
        load_model(pack(tmp_path, tmp_path / "cut.keras"))
