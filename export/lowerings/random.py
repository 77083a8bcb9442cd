"""Layers that act in training only, and do nothing in inference."""

from __future__ import annotations

from typing import Any

import keras

from export.builder import Builder, Tensor
from export.lowerings.registry import register_lowering

layers = keras.layers


@register_lowering(
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.AlphaDropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.ActivityRegularization,
    layers.Identity,
    layers.RandomBrightness,
    layers.RandomContrast,
    layers.RandomFlip,
    layers.RandomRotation,
    layers.RandomTranslation,
    layers.RandomZoom,
    any_layout=True,
)
def lower_identity(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """The input itself."""
    return x
