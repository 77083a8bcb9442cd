"""Preprocessing: the layers that scale numbers."""

from __future__ import annotations

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.keras_values import as_numpy
from export.lowerings.operands import as_float
from export.lowerings.registry import register_lowering

layers = keras.layers


@register_lowering(layers.Rescaling, any_layout=True)
def lower_rescaling(g: Builder, layer: keras.layers.Rescaling, x: Tensor) -> Tensor:
    """X * scale + offset."""
    scale, offset = (np.asarray(value, np.float64) for value in (layer.scale, layer.offset))
    if scale.ndim and keras.config.image_data_format() == "channels_first":
        scale = scale.reshape(*scale.shape, *[1] * (3 - scale.ndim))
    return _scale_and_shift(g, x, scale, offset)


@register_lowering(layers.Normalization, any_layout=True)
def lower_normalization(g: Builder, layer: keras.layers.Normalization, x: Tensor) -> Tensor:
    """(x - mean) / sqrt(variance), or its inverse."""
    mean = as_numpy(layer.mean).astype(np.float64)
    std = np.maximum(np.sqrt(as_numpy(layer.variance).astype(np.float64)), keras.config.epsilon())
    if layer.invert:
        return _scale_and_shift(g, x, std, mean)
    return _scale_and_shift(g, x, 1 / std, -mean / std)


def _scale_and_shift(g: Builder, x: Tensor, scale: np.ndarray, shift: np.ndarray) -> Tensor:
    """X * scale + shift with constants that broadcast; along one axis, it can be folded into a neighbour."""
    x = as_float(g, x)
    shape = np.broadcast_shapes(scale.shape, shift.shape)
    along = [axis - len(shape) for axis, size in enumerate(shape) if size > 1] or [-1]
    size = x.shape[along[0]] if len(shape) <= x.rank else None
    if len(along) == 1 and size is not None and np.prod(shape) in (1, size):
        return g.affine(x, scale.ravel(), shift.ravel(), along[0])
    x = g.keras_layout(x)
    return g.result(g.op("Add", g.op("Mul", x.value, scale), shift))
