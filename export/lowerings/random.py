"""Layers that act at random in training and pass their input on in inference."""

from __future__ import annotations

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
    layers.RandomBrightness,
    layers.RandomContrast,
    layers.RandomFlip,
    layers.RandomRotation,
    layers.RandomTranslation,
    layers.RandomZoom,
    any_layout=True,
)
def lower_random(g: Builder, layer: keras.layers.Layer, x: Tensor) -> Tensor:
    """The input."""
    return x
