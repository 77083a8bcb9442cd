import shutil
from pathlib import Path

import pytest

from export.errors import UserError
from export.keras2 import load_model
from tests.export.keras2.helpers import MODELS


def test_folder_without_metadata(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found no keras_metadata\.pb in it"):
        load_model(tmp_path)


def test_damaged_metadata(tmp_path: Path) -> None:
    (tmp_path / "keras_metadata.pb").write_bytes(b"\xff\xff")
    with pytest.raises(UserError, match=r"keras_metadata\.pb: expected the metadata of a SavedModel"):
        load_model(tmp_path)


def test_metadata_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "keras_metadata.pb").write_bytes(b"")
    with pytest.raises(
        UserError, match="expected a Functional or Sequential model, got one without a config"
    ):
        load_model(tmp_path)


def test_a_configuration_of_a_huge_model(tmp_path: Path) -> None:
    """Nothing of that size is allocated."""
    from tensorflow.python.keras.protobuf import saved_metadata_pb2

    shutil.copytree(MODELS / "cnn-saved", tmp_path / "saved")
    file = tmp_path / "saved/keras_metadata.pb"
    saved = saved_metadata_pb2.SavedMetadata()
    saved.ParseFromString(file.read_bytes())
    saved.nodes[0].metadata = saved.nodes[0].metadata.replace('"units": 4', '"units": 2000000000')
    file.write_bytes(saved.SerializeToString())
    with pytest.raises(
        UserError, match=r"saved: expected at most 100 times .* bytes of variables; the file is"
    ):
        load_model(tmp_path / "saved")


def test_missing_weights(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "cnn-saved", tmp_path / "saved")
    (tmp_path / "saved/variables/variables.index").unlink()
    with pytest.raises(UserError, match="expected a Keras 2 model that can be rebuilt"):
        load_model(tmp_path / "saved")


def test_weights_of_another_model(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "cnn-saved", tmp_path / "saved")
    shutil.rmtree(tmp_path / "saved/variables")
    shutil.copytree(MODELS / "stock-saved/variables", tmp_path / "saved/variables")
    with pytest.raises(UserError, match=r"layer 'wn': its weight 'g' was not found"):
        load_model(tmp_path / "saved")
