"""The weights of a `.keras` file that Keras 2.15 saved.

Keras 3 lays them out in the same way, by the snake-case name of each layer's class and its number, except for
wrappers. But its classes can have other names, and its layers another order.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

from export.hdf5 import WEIGHTS, open_hdf5
from export.keras2.addons import SpectralNormalization, WeightNormalization
from export.keras2.config import Config, class_name
from export.keras2.saved_layers import saved_layers


def load_weights(model: keras.Model, config: Config, path: Path) -> None:
    """Read the weights into a model.

    Args:
        model: the model.
        config: its configuration in the file.
        path: the file.

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
            _rename_layers(model, config, copy)
        model.load_weights(copied)


def _rename_layers(model: keras.Model, config: Config, group: h5py.Group) -> None:
    """Give the groups of a model's layers the names that Keras 3 looks for, in its own order of the layers."""
    for name in ("layers", "_layer_checkpoint_dependencies"):  # Keras 2.13 and before
        if name in group:
            group.move(name, "saved")
    saved, renamed = group["saved"], group.create_group("layers")
    inner = config["config"]
    all_saved = inner["layers"] if isinstance(inner, dict) else inner
    old = dict(zip(map(id, all_saved), _numbered(map(class_name, all_saved)), strict=True))
    kinds = [type(layer).__name__ for layer in model.layers]
    new = dict(zip(map(id, model.layers), _numbered(kinds), strict=True))
    for layer, one in saved_layers(model, config):
        if old[id(one)] not in saved:
            if layer.weights:
                raise KeyError(f"layer {layer.name!r}: its weights, {old[id(one)]}, were not found")
            continue
        saved.move(old[id(one)], f"{renamed.name}/{new[id(layer)]}")
        moved = renamed[new[id(layer)]]
        if isinstance(layer, keras.Model):
            _rename_layers(layer, one, moved)
        elif isinstance(layer, (WeightNormalization, SpectralNormalization)):
            _rearrange(layer, moved)
        elif isinstance(getattr(layer, "layer", None), keras.Model):
            _rename_layers(layer.layer, one["config"]["layer"], moved["layer"])
    del group["saved"]


def _numbered(kinds: Iterable[str]) -> Iterator[str]:
    """The name of each layer in a file, by its class and how many of that class came before."""
    counts: Counter[str] = Counter()
    for kind in kinds:
        name = _to_snake_case(kind)
        yield f"{name}_{counts[name]}" if counts[name] else name
        counts[name] += 1


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
