"""Preprocessing: the layers that scale numbers."""

from __future__ import annotations

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.registry import register_lowering

layers = keras.layers


@register_lowering(layers.Rescaling, any_layout=True)
def lower_rescaling(g: Builder, layer: keras.layers.Rescaling, x: Tensor) -> Tensor:
    """X * scale + offset, with a number or one for each index of the last axis."""
    scale, offset = (np.asarray(value, np.float64) for value in (layer.scale, layer.offset))
    if max(scale.ndim, offset.ndim) > 1:
        raise Unsupported(
            f"a scale or an offset of more than one axis (shapes {scale.shape}, {offset.shape})"
        )
    is_last = keras.config.image_data_format() == "channels_last" or scale.ndim == offset.ndim == 0
    return g.affine(x, scale, offset, -1 if is_last else -3)


@register_lowering(layers.Normalization, any_layout=True)
def lower_normalization(g: Builder, layer: keras.layers.Normalization, x: Tensor) -> Tensor:
    """(x - mean) / sqrt(variance), or its inverse, along one axis."""
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis or ())
    if len(axes) > 1:
        raise Unsupported(f"a normalization along several axes {axes}")
    axis = axes[0] if axes else -1
    mean = np.asarray(layer.mean, np.float64).ravel()
    std = np.maximum(np.sqrt(np.asarray(layer.variance, np.float64).ravel()), keras.config.epsilon())
    if layer.invert:
        return g.affine(x, std, mean, axis)
    return g.affine(x, 1 / std, -mean / std, axis)
