"""Read a Keras model from a file that may come from a stranger."""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.utils import python_utils  # Keras has no public name for it

from export.custom_code import missing_modules, missing_names
from export.errors import UserError, one_line
from export.hdf5 import open_hdf5
from export.model_file import (
    check_weights_alone,
    is_keras_2,
    newer_version,
    read_config,
    read_json,
    weights_file,
)
from export.variables import check_variables

# The layers of this project that a file can name, and the modules that register them with Keras.
OWN_LAYERS = {
    "kerasnorm>FilterResponseNormalization": "export.keras2.filter_response",
    "kerasnorm>ContribInstanceNormalization": "export.keras2.packages",
    "kerasnorm>SizedCall": "export.keras2.sized_call",
    "kerasnorm>hard_sigmoid_of_keras_2": "export.keras2.hard_sigmoid",
}
RANDOM_WEIGHTS = "retain their freshly-initialized weights"  # what Keras warns of, and goes on


def load_model(
    path: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    unsafe: bool = False,
) -> keras.Model:
    """Load a model in Keras' safe mode, which runs no code that the file brings along.

    Models that Keras 2 saved, with or without layers of tensorflow-addons, are read by `export.keras2`, which lists the
    layers that it replaced on stderr.

    Args:
        path: a `.keras` or `.h5` file, or a folder that `model.save(..., zipped=False)` wrote.
        config: for weights alone, which `model.save_weights` wrote: the file that `model.to_json()` was written to.
        custom_objects: the custom classes and functions of the model by name, if they are not registered with Keras.
        unsafe: run the code of Lambda layers in the file, which can do anything that a program can.

    Raises:
        UserError: the file is missing or damaged, holds no Keras model, takes data from other files, needs code (a
            Lambda or a custom layer), or declares more data than its size justifies.
    """
    path = Path(path)
    if config is not None:
        check_weights_alone(path)
        text = read_json(Path(config))
    elif path.is_dir() and is_keras_2(path):
        return _load_keras_2(path, custom_objects, unsafe)
    else:
        text = read_config(path)
        if is_keras_2(path):
            return _load_keras_2(path, custom_objects, unsafe)
    for name, module in OWN_LAYERS.items():
        if name in text:
            importlib.import_module(module)
    if unsafe:
        _define_usual_names(custom_objects or {})
    source = _Source(path, text, config is not None, dict(custom_objects or {}), not unsafe)
    try:
        with open_hdf5(weights_file(path)):
            pass  # the weights have been checked; Keras opens the file itself
        check_variables(weights_file(path), source.build)
        with warnings.catch_warnings(record=True) as caught:
            model = source.load()
        _check_warnings(caught, path)
    except UserError:
        raise
    except Exception as error:  # Keras, h5py, json and zipfile raise whatever a bad file provokes
        raise UserError(
            f"{path}: expected a Keras model that can be loaded in safe mode: {_reason(error, text)}"
            f"{newer_version(path)}"
        ) from error
    if not isinstance(model, keras.Model):
        raise UserError(f"{path}: expected a Keras model, got {type(model).__name__}")
    return model


@dataclass(frozen=True)
class _Source:
    """Where a model comes from: a file or folder, and its configuration, which may have been in another file."""

    path: Path
    config: str
    weights_alone: bool
    custom_objects: dict[str, Any]
    safe_mode: bool

    def build(self) -> object:
        """Build the model; for a `.h5` file, whose configuration may be Keras 2's, load its weights, too."""
        if self.path.suffix in (".h5", ".hdf5") and not self.weights_alone:
            return self.load()
        return self._deserialize(_without_state(json.loads(self.config)))

    def load(self) -> object:
        """Build the model and load its weights."""
        if not self.weights_alone:
            return keras.models.load_model(
                self.path, custom_objects=self.custom_objects, compile=False, safe_mode=self.safe_mode
            )
        model = self._deserialize({**json.loads(self.config), "compile_config": None})
        if isinstance(model, keras.Model):
            model.load_weights(self.path)
            _check_count(model, self.path)
        return model

    def _deserialize(self, config: Any) -> object:
        return keras.saving.deserialize_keras_object(
            config, custom_objects=self.custom_objects, safe_mode=self.safe_mode
        )


def _check_warnings(caught: Sequence[warnings.WarningMessage], path: Path) -> None:
    """Repeat Keras' warnings, unless one says that the model has random weights."""
    for warning in caught:
        if RANDOM_WEIGHTS in str(warning.message):
            raise UserError(
                f"{path}: expected all weights of the model, got none for the layers in nested lists, which earlier "
                "versions of Keras did not save; save the trained model again with this version"
            )
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _check_count(model: keras.Model, path: Path) -> None:
    """Check that the file has no weights of other layers, which Keras would not read."""
    sizes: list[int] = []
    with open_hdf5(path) as file:
        file.get("layers", {}).visititems(lambda _, item: sizes.append(getattr(item, "size", 0)))
    expected = sum(math.prod(variable.shape) for variable in model.variables)
    if sum(sizes) > expected:
        raise UserError(
            f"{path}: expected the weights of the model in the configuration, {expected:,} numbers, got {sum(sizes):,}"
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


def _load_keras_2(path: Path, custom_objects: Mapping[str, Any] | None, unsafe: bool) -> keras.Model:
    from export import keras2  # only for such a file: its layers register themselves with Keras

    return keras2.load_model(path, custom_objects=custom_objects, unsafe=unsafe)


def _reason(error: Exception, config: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if "lambda" in text.lower():
        return (
            "it has a Lambda layer, whose code is not run; build the model without it and save it again, or give "
            "--unsafe if the file is your own"
        )
    if "Could not locate" in text or "Unknown layer" in text:
        names = ", ".join(missing_names(config)) or one_line(text, 200)
        modules = "".join(f" --import {module}" for module in missing_modules(config))
        return (
            f"it needs code that Keras does not have: {names}; name the Python file with --import my_layers.py"
            + (f", or the module with{modules}" if modules else "")
        )
    # Keras wraps an error for each object that an object is in; the last is about what is wrong.
    return one_line(text.rsplit("Exception encountered: ", 1)[-1])
