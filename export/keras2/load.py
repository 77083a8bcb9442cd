"""load_model: a model that Keras 2 saved, as a Keras 3 model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from export.errors import UserError, one_line
from export.keras2 import h5, keras_v2, saved_model
from export.keras2.addons import KNOWN_LAYERS, replace_stand_ins, unknown_names
from export.keras2.functional import build_model
from export.model_file import read_config
from export.terminal import escape
from export.variables import check_variables


def load_model(
    path: str | Path,
    *,
    trainable: bool = False,
    tell: Callable[[str], None] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    unsafe: bool = False,
) -> keras.Model:
    """Read a model that Keras 2 saved, with or without layers of tensorflow-addons, as a Keras 3 model.

    The model is not compiled.

    Args:
        path: an `.h5` file, a `.keras` file of Keras 2.15, or the folder of a SavedModel that Keras wrote.
        trainable: replace spectral normalization by Keras 3's own layer, which can be trained further, and not by
            the layer that it wraps. Keras 3 has no weight normalization, so that is always folded into the kernel.
        tell: called with a line for each layer that is replaced; None writes the lines to stderr.
        custom_objects: the custom classes and functions of the model by name, if they are not registered with Keras.
        unsafe: run the code of Lambda layers in the file, which can do anything that a program can.

    Returns:
        A Functional or Sequential model of stock layers (and FilterResponseNormalization). In inference, its outputs
        are those of the saved model.

    Raises:
        UserError: the file is missing or damaged, takes data from other files, or has an unknown layer.
    """
    path = Path(path)
    config = saved_model.read_config(path) if path.is_dir() else json.loads(read_config(path))
    unknown = sorted(unknown_names(config))
    if unknown:
        raise UserError(
            f"{path}: expected of tensorflow-addons only {', '.join(KNOWN_LAYERS)}, got {', '.join(unknown)}; "
            "build the model without it and save it again"
        )

    def build() -> keras.Model:
        return build_model(config, custom_objects, unsafe)

    try:
        check_variables(path, build)
        model = build()
        if path.is_dir():
            saved_model.load_weights(model, config, path)
        elif path.suffix == ".keras":
            keras_v2.load_weights(model, config, path)
        else:
            h5.load_weights(model, config, path)
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()
        return replace_stand_ins(model, trainable, tell or _to_stderr)
    except UserError as error:
        if str(error).startswith(str(path)):
            raise
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # Keras, h5py and TensorFlow raise whatever a bad file provokes
        reason = one_line(error)
        raise UserError(
            f"{path}: expected a Keras 2 model that can be rebuilt in Keras 3: {reason}"
        ) from error


def _to_stderr(line: str) -> None:
    print(escape(line), file=sys.stderr)
