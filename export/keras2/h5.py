"""The weights of a `.h5` file that Keras 2 saved: for each layer of the model a list, in Keras 2's order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from export.hdf5 import open_hdf5
from export.keras2.addons import WeightNormalization


def load_weights(model: keras.Model, path: Path) -> None:
    """Read the weights into a model whose layers have the names of the saved ones.

    Raises:
        ValueError: a layer is missing, or has another number of weights.
    """
    with open_hdf5(path) as file:
        for layer in model.layers:
            _load_layer(layer, file["model_weights"].get(layer.name))


def _load_layer(layer: keras.layers.Layer, saved: h5py.Group | None) -> None:
    trained, others = _keras_2_order(layer)
    weights = trained + others
    values = [] if saved is None else [saved[name] for name in saved.attrs["weight_names"].astype(str)]
    if len(values) != len(weights):
        raise ValueError(f"layer {layer.name!r}: expected {len(weights)} weights, got {len(values)}")
    for weight, value in zip(weights, values, strict=True):
        if weight is not None:
            weight.assign(np.asarray(value))


def _keras_2_order(layer: keras.layers.Layer) -> tuple[list[Any], list[Any]]:
    """The trainable and the other weights of a layer, in the file's order; None for a weight to skip."""
    if isinstance(layer, keras.Model):
        trained, others = [], []
        for inner in layer.layers:
            inner_trained, inner_others = _keras_2_order(inner)
            trained += inner_trained
            others += inner_others
        return trained, others
    if isinstance(layer, WeightNormalization):
        wrapped = layer.layer.weights
        # With data_init, tensorflow-addons keeps a copy of the layer for its first batch.
        copy = [None] * len(wrapped) if layer.data_init else []
        return [layer.g, layer.v, *(one for one in wrapped if one is not layer.v)], [layer.initialized, *copy]
    return list(layer.trainable_weights), list(layer.non_trainable_weights)
