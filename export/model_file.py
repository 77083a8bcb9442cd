"""What a file says of the Keras model in it, before the model is built."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from export.errors import UserError
from export.hdf5 import open_hdf5, read_member

SUFFIXES = (".keras", ".h5", ".hdf5")
SAVED_METADATA = "keras_metadata.pb"  # Keras 2 writes it into a SavedModel; Keras 3 doesn't
ADDONS = "Addons>"  # the package under which tensorflow-addons registers its layers


def read_config(path: Path) -> str:
    """The configuration of the model in a `.keras` or `.h5` file, as JSON.

    Raises:
        UserError: the file is missing, damaged, of another format, or holds weights alone.
    """
    if not path.exists():
        raise UserError(f"{path}: expected a Keras model, found nothing of that name")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a .keras or .h5 file, got {path.suffix or 'no suffix'}")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise UserError(
            f"{path}: expected a Keras model, got a file that is no .keras archive, or a part of one"
        )
    try:
        if path.suffix == ".keras":
            text = read_member(path, "config.json")
        else:
            with open_hdf5(path) as file:
                text = file.attrs.get("model_config")
        if text is None:
            raise UserError(f"{path}: expected a whole model, got weights alone; save it with model.save")
        return json.dumps(json.loads(text))  # in one spelling, whoever wrote it
    except UserError:
        raise
    except Exception as error:  # h5py, json and zipfile raise whatever a damaged file provokes
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{path}: expected a Keras model that can be loaded: {reason}") from error


def is_keras_2(path: str | Path) -> bool:
    """Whether Keras 2, or an earlier version, saved a file or folder."""
    path = Path(path)
    if path.is_dir():
        return (path / SAVED_METADATA).exists()
    try:
        return not _keras_version(path).startswith("3.")
    except Exception:  # of a damaged file, which is not read here
        return False


def _keras_version(path: Path) -> str:
    """The version of Keras that saved a `.keras` or `.h5` file; tf_keras goes on with the versions of TensorFlow."""
    if path.suffix == ".keras":
        return str(json.loads(read_member(path, "metadata.json"))["keras_version"])
    with open_hdf5(path) as file:
        version = file.attrs.get("keras_version", "")
    return version.decode() if isinstance(version, bytes) else str(version)
