import shutil
from pathlib import Path

import h5py
import pytest

from export.errors import UserError
from export.keras2 import load_model
from tests.export.keras2.helpers import MODELS


def test_missing_layer_is_named(tmp_path: Path) -> None:
    path = Path(shutil.copy(MODELS / "cnn.h5", tmp_path))
    with h5py.File(path, "r+") as file:
        del file["model_weights/gn"]
    with pytest.raises(UserError, match="layer 'gn': expected 2 weights, got 0"):
        load_model(path)


def test_weight_of_another_shape(tmp_path: Path) -> None:
    path = Path(shutil.copy(MODELS / "cnn.h5", tmp_path))
    with h5py.File(path, "r+") as file:
        del file["model_weights/gn/gn/gamma:0"]
        file["model_weights/gn/gn/gamma:0"] = [1.0, 2.0, 3.0]
    with pytest.raises(UserError, match=r"expected a Keras 2 model that can be rebuilt in Keras 3: .*\(3,\)"):
        load_model(path)
