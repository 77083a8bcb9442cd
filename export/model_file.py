"""What a file says of the Keras model in it, before the model is built."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import NoReturn

import keras

from export.errors import UserError, one_line
from export.hdf5 import WEIGHTS, open_hdf5, read_member

CONFIG, METADATA = "config.json", "metadata.json"  # in a `.keras` archive, or a folder that Keras 3 saved
SUFFIXES = (".keras", ".h5", ".hdf5")
SAVED_METADATA = "keras_metadata.pb"  # Keras 2 writes it into a SavedModel; Keras 3 doesn't
ADDONS = "Addons>"  # the package under which tensorflow-addons registers its layers


def read_config(path: Path) -> str:
    """The configuration of the model in a `.keras` or `.h5` file, or in a folder that Keras 3 saved, as JSON.

    Raises:
        UserError: the file is missing, damaged, of another format, or holds weights alone.
    """
    if not path.exists():
        raise UserError(f"{path}: expected a Keras model, found nothing of that name")
    if path.is_dir():
        is_model = (path / CONFIG).is_file() and (path / WEIGHTS).is_file()
        return read_json(path / CONFIG) if is_model else _refuse_folder(path)
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a .keras or .h5 file, got {path.suffix or 'no suffix'}")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise UserError(
            f"{path}: expected a Keras model, got a file that is no .keras archive, or a part of one"
        )
    try:
        if path.suffix == ".keras":
            text = read_member(path, CONFIG)
        else:
            with open_hdf5(path) as file:
                text = file.attrs.get("model_config")
        if text is None:
            raise UserError(
                f"{path}: expected a whole model, got weights alone; give the file that model.to_json() was written "
                "to with --config MODEL.json, or save the model with model.save('MODEL.keras')"
            )
        return _one_spelling(path, text)
    except UserError:
        raise
    except Exception as error:  # h5py and zipfile raise whatever a damaged file provokes
        raise UserError(f"{path}: expected a Keras model that can be loaded: {one_line(error)}") from error


def check_weights_alone(path: Path) -> None:
    """Check that a file has weights and no configuration, which another file has.

    Raises:
        UserError: it is missing, or of another format, or has a configuration of its own.
    """
    if not path.is_file():
        raise UserError(f"{path}: expected weights that model.save_weights wrote, found no file of that name")
    try:
        if path.suffix in (".h5", ".hdf5"):
            with open_hdf5(path) as file:
                if "model_config" not in file.attrs:
                    return
    except OSError as error:  # of h5py, for a damaged file
        raise UserError(f"{path}: expected weights that can be loaded: {one_line(error)}") from error
    raise UserError(
        f"{path}: expected weights alone, a .weights.h5 file, besides --config, got another file; leave --config out "
        "for a whole model"
    )


def newer_version(path: Path) -> str:
    """What to say of a model that a newer version of Keras saved; empty if none did."""
    try:
        text = (path / METADATA).read_bytes() if path.is_dir() else read_member(path, METADATA)
        saved = str(json.loads(text)["keras_version"])
        is_newer = _numbers(saved) > _numbers(keras.__version__)
    except Exception:  # metadata is not needed, and a stranger's may be anything
        return ""
    return (
        f"; Keras {saved[:20]} saved it, this is {keras.__version__}: install that version"
        if is_newer
        else ""
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def weights_file(path: Path) -> Path:
    """The file that holds the weights of a model: the one in a folder that Keras 3 saved, or the model's own."""
    return path / WEIGHTS if path.is_dir() else path


def read_json(path: Path) -> str:
    """The configuration in a JSON file, such as `model.to_json()` returns it.

    Raises:
        UserError: the file is missing, or holds something else.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: expected the configuration of a Keras model: {error.strerror}") from error
    config = _one_spelling(path, text)
    if "module" not in json.loads(config):
        raise UserError(
            f"{path}: expected the configuration of a Keras 3 model, got another one; if Keras 2 wrote it, save the "
            "whole model there with model.save('MODEL.h5')"
        )
    return config


def _one_spelling(path: Path, text: str | bytes) -> str:
    """A configuration in the spelling of Python's json, whoever wrote it."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: expected the configuration of a Keras model as JSON: {one_line(error)}"
        ) from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise UserError(
            f"{path}: expected the configuration of a Keras model, an object with a class_name, got other JSON"
        )
    return json.dumps(config)


def _refuse_folder(path: Path) -> NoReturn:
    """Say what to do with a folder that holds no Keras model."""
    if (path / "saved_model.pb").exists():
        raise UserError(
            f"{path}: expected a Keras model, got a SavedModel, as model.export writes it: a TensorFlow graph without "
            "Keras' layers; save the model itself with model.save('MODEL.keras') and export that file"
        )
    raise UserError(
        f"{path}: expected a folder with a {CONFIG} and a {WEIGHTS}, as model.save(..., zipped=False) writes it, or a "
        "SavedModel of Keras 2, got another folder; save the model with model.save('MODEL.keras')"
    )


def is_keras_2(path: str | Path) -> bool:
    """Whether Keras 2, or an earlier version, saved a file or folder."""
    path = Path(path)
    if path.is_dir():
        return (path / SAVED_METADATA).exists()
    try:
        return int(_keras_version(path).partition(".")[0] or 2) < 3  # the first versions named none
    except Exception:  # of a damaged file, which is not read here
        return False


def _keras_version(path: Path) -> str:
    """The version of Keras that saved a `.keras` or `.h5` file; tf_keras goes on with the versions of TensorFlow."""
    if path.suffix == ".keras":
        return str(json.loads(read_member(path, "metadata.json"))["keras_version"])
    with open_hdf5(path) as file:
        version = file.attrs.get("keras_version", "")
    return version.decode() if isinstance(version, bytes) else str(version)
