"""The weights of a `.h5` file that Keras 2 saved: for each layer of the model a list, in Keras 2's order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from export.hdf5 import open_hdf5
from export.keras2.addons import WeightNormalization
from export.keras2.config import Config
from export.keras2.saved_layers import saved_layers

Weights = tuple[list[Any], list[Any]]  # the trainable ones and the others; None for a weight to skip


def load_weights(model: keras.Model, config: Config, path: Path) -> None:
    """Read the weights into a model.

    Args:
        model: the model.
        config: its configuration in the file.
        path: the file.

    Raises:
        ValueError: a layer is missing, or has another number of weights.
    """
    with open_hdf5(path) as file:
        groups = file["model_weights"]
        for layer, one in saved_layers(model, config):
            _load_layer(layer, one, groups.get(one.get("name", one["config"].get("name"))))


def _load_layer(layer: keras.layers.Layer, config: Config, saved: h5py.Group | None) -> None:
    trained, others = _keras_2_order(layer, config)
    weights = trained + others
    values = [] if saved is None else [saved[name] for name in saved.attrs["weight_names"].astype(str)]
    if len(values) != len(weights):
        raise ValueError(f"layer {layer.name!r}: expected {len(weights)} weights, got {len(values)}")
    for weight, value in zip(weights, values, strict=True):
        if weight is not None:
            weight.assign(np.asarray(value))


def _keras_2_order(layer: keras.layers.Layer, config: Config) -> Weights:
    """The weights of a layer in the file's order."""
    if isinstance(layer, keras.Model):
        return _joined([_keras_2_order(*inner) for inner in saved_layers(layer, config)])
    inner = getattr(layer, "layer", None)
    if isinstance(inner, keras.Model):
        return _keras_2_order(inner, config["config"]["layer"])
    if isinstance(layer, WeightNormalization):
        wrapped = layer.layer.weights
        # With data_init, tensorflow-addons keeps a copy of the layer for its first batch.
        copy = [None] * len(wrapped) if layer.data_init else []
        return [layer.g, layer.v, *(one for one in wrapped if one is not layer.v)], [layer.initialized, *copy]
    return list(layer.trainable_weights), list(layer.non_trainable_weights)


def _joined(parts: list[Weights]) -> Weights:
    return [one for part in parts for one in part[0]], [one for part in parts for one in part[1]]
