"""Read a Keras model from a file that may come from a stranger."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import keras

from export import addons
from export.errors import UserError


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Load a `.keras` or `.h5` file in Keras' safe mode, which runs no code that the file brings along.

    What Keras 2 saved and Keras 3 does not read, with tensorflow-addons' normalizations or without, is read by
    `export.addons`, which says on stderr what it replaced.

    Raises:
        UserError: the file is missing, damaged, no Keras model, or needs code (a Lambda or a custom layer).
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: expected a Keras model, found nothing of that name")
    if addons.is_keras_2(path):
        return addons.load_model(path)
    if path.is_dir():
        raise UserError(
            f"{path}: expected a .keras or .h5 file, or a SavedModel of Keras 2, got another folder"
        )
    if path.suffix not in (".keras", ".h5", ".hdf5"):
        raise UserError(f"{path}: expected a .keras or .h5 file, got {path.suffix or 'no suffix'}")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise UserError(
            f"{path}: expected a Keras model, got a file that is no .keras archive, or a part of one"
        )
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, h5py, json and zipfile raise whatever a bad file provokes
        if "Unrecognized keyword arguments" in str(error) and path.suffix != ".keras":
            return addons.load_model(path)  # arguments of a Keras 2 layer that Keras 3 has dropped
        text = " ".join(str(error).split())
        if "Lambda" in text or "lambda" in text:
            reason = (
                "it has a Lambda layer, whose code is not run; build the model without it and save it again"
            )
        elif "Could not locate class" in text or "Unknown layer" in text:
            reason = f"it needs a class that Keras does not have; import it first, registered: {text[:200]}"
        else:
            reason = text[:300]
        raise UserError(
            f"{path}: expected a Keras model that can be loaded in safe mode: {reason}"
        ) from error
    if not isinstance(model, keras.Model):
        raise UserError(f"{path}: expected a Keras model, got {type(model).__name__}")
    return model
