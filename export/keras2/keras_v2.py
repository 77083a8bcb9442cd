"""The weights of a `.keras` file that Keras 2.15 saved.

Keras 3 lays them out in the same way, by the snake-case name of each layer's class and its number, except for
wrappers.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import h5py
import keras
import numpy as np

from export.hdf5 import WEIGHTS, open_hdf5
from export.keras2.addons import SpectralNormalization, WeightNormalization


def load_weights(model: keras.Model, path: Path) -> None:
    """Read the weights into a model of the same layers in the same order.

    Raises:
        ValueError: the file and the model have different weights.
        KeyError: the weights of a layer are missing.
    """
    with open_hdf5(path) as file, tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / WEIGHTS
        with h5py.File(copied, "w") as copy:
            for name in file:
                if name != "optimizer":  # the model is not compiled
                    file.copy(name, copy)
            _rearrange_wrappers(model, copy)
        model.load_weights(copied)


def _rearrange_wrappers(model: keras.Model, group: h5py.Group) -> None:
    """Move the weights of wrappers to where Keras 3 expects those of the stand-ins."""
    counts: dict[str, int] = {}
    layers = group["layers"] if "layers" in group else group["_layer_checkpoint_dependencies"]
    for layer in model.layers:
        name = _to_snake_case(type(layer).__name__)
        number = counts.get(name, 0)
        counts[name] = number + 1
        if number:
            name = f"{name}_{number}"
        if isinstance(layer, keras.Model) and name in layers:
            _rearrange_wrappers(layer, layers[name])
        elif isinstance(layer, (WeightNormalization, SpectralNormalization)):
            _rearrange(layer, layers[name])


def _rearrange(layer: WeightNormalization | SpectralNormalization, saved: h5py.Group) -> None:
    inner = saved["layer/cell/vars"] if "cell" in saved["layer"] else saved["layer/vars"]
    own_values, inner_values = _arrays(saved["vars"]), _arrays(inner)
    if isinstance(layer, WeightNormalization):  # g, v, initialized; v is the kernel of the wrapped layer
        g, v, initialized = own_values
        own_values = [g, initialized]
        inner_values.insert([weight is layer.v for weight in layer.layer.weights].index(True), v)
    else:  # the kernel again, sn_u
        own_values = own_values[-1:]
    _replace_arrays(saved["vars"], own_values)
    _replace_arrays(inner, inner_values)


def _arrays(group: h5py.Group) -> list[np.ndarray]:
    return [np.asarray(group[str(index)]) for index in range(len(group))]


def _replace_arrays(group: h5py.Group, values: list[np.ndarray]) -> None:
    for name in list(group):
        del group[name]
    for index, value in enumerate(values):
        group[str(index)] = value


def _to_snake_case(name: str) -> str:
    """The name of a class as Keras writes it into the file, such as batch_normalization."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
