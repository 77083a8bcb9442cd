"""Read a Keras model from a file that may come from a stranger."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.utils import python_utils  # Keras has no public name for it

from export.custom_code import missing_names
from export.errors import UserError
from export.hdf5 import open_hdf5
from export.model_file import is_keras_2, names_keras_2, read_config
from export.variables import check_variables

# The layers of this project that a file can name, and the modules that register them with Keras.
OWN_LAYERS = {"kerasnorm>FilterResponseNormalization": "export.keras2.filter_response"}


def load_model(
    path: str | os.PathLike[str], *, custom_objects: Mapping[str, Any] | None = None, unsafe: bool = False
) -> keras.Model:
    """Load a `.keras` or `.h5` file in Keras' safe mode, which runs no code that the file brings along.

    Models that Keras 2 saved and Keras 3 can't read, with or without layers of tensorflow-addons, are read by
    `export.keras2`, which lists the layers that it replaced on stderr.

    Args:
        path: the file.
        custom_objects: the custom classes and functions of the model by name, if they are not registered with Keras.
        unsafe: run the code of Lambda layers in the file, which can do anything that a program can.

    Raises:
        UserError: the file is missing or damaged, holds no Keras model, takes data from other files, needs code (a
            Lambda or a custom layer), or declares more data than its size justifies.
    """
    path = Path(path)
    if path.is_dir():
        if not is_keras_2(path):
            raise UserError(
                f"{path}: expected a .keras or .h5 file, or a SavedModel of Keras 2, got another folder"
            )
        return _load_keras_2(path)
    config = read_config(path)
    if names_keras_2(config):
        return _load_keras_2(path)
    for name, module in OWN_LAYERS.items():
        if name in config:
            importlib.import_module(module)
    if unsafe:
        _define_usual_names(custom_objects or {})
    try:
        with open_hdf5(path):
            pass  # the weights have been checked; Keras opens the file itself
        check_variables(path, lambda: _build(path, config, custom_objects, not unsafe))
        model = _load(path, custom_objects, not unsafe)
    except UserError:
        raise
    except Exception as error:  # Keras, h5py, json and zipfile raise whatever a bad file provokes
        if "Unrecognized keyword arguments" in str(error) and path.suffix != ".keras":
            return _load_keras_2(path)  # arguments of a Keras 2 layer that Keras 3 has dropped
        raise UserError(
            f"{path}: expected a Keras model that can be loaded in safe mode: {_reason(error, config)}"
        ) from error
    if not isinstance(model, keras.Model):
        raise UserError(f"{path}: expected a Keras model, got {type(model).__name__}")
    return model


def _build(path: Path, config: str, custom_objects: Mapping[str, Any] | None, safe_mode: bool) -> object:
    """Build the model of a file; for a `.h5` file, whose configuration may be Keras 2's, load its weights, too."""
    if path.suffix != ".keras":
        return _load(path, custom_objects, safe_mode)
    return keras.saving.deserialize_keras_object(
        _without_state(json.loads(config)), custom_objects=dict(custom_objects or {}), safe_mode=safe_mode
    )


def _load(path: Path, custom_objects: Mapping[str, Any] | None, safe_mode: bool) -> object:
    return keras.models.load_model(
        path, custom_objects=dict(custom_objects or {}), compile=False, safe_mode=safe_mode
    )


def _define_usual_names(custom_objects: Mapping[str, Any]) -> None:
    """Define what the code of Lambda layers may use. Keras runs it among the names of the module that reads it."""
    usual = {"keras": keras, "layers": keras.layers, "ops": keras.ops, "K": keras.backend, "np": np}
    if "tensorflow" in sys.modules:
        usual["tf"] = sys.modules["tensorflow"]
    for name, x in {**usual, **custom_objects}.items():
        vars(python_utils).setdefault(name, x)


def _without_state(config: Any) -> Any:
    """A configuration without optimizers and states of recurrent layers, which can't be built without values."""
    if isinstance(config, dict):
        stateless = {"compile_config": None, "stateful": False}
        return {key: stateless.get(key, _without_state(value)) for key, value in config.items()}
    return [_without_state(value) for value in config] if isinstance(config, list) else config


def _load_keras_2(path: Path) -> keras.Model:
    from export import keras2  # only for such a file: its layers register themselves with Keras

    return keras2.load_model(path)


def _reason(error: Exception, config: str) -> str:
    text = " ".join(str(error).split())
    if "lambda" in text.lower():
        return (
            "it has a Lambda layer, whose code is not run; build the model without it and save it again, or give "
            "--unsafe if the file is your own"
        )
    if "Could not locate" in text or "Unknown layer" in text:
        names = ", ".join(missing_names(config)) or text[:200]
        return f"it needs code that Keras does not have: {names}; name the Python file with --import my_layers.py"
    return text[:300]
