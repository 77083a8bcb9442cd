"""Layers that resize images."""

from __future__ import annotations

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.convolution import per_axis, spatial_axes_last
from export.lowerings.registry import register_lowering

layers = keras.layers


@register_lowering(layers.UpSampling2D, any_layout=True)
def lower_up_sampling(g: Builder, layer: keras.layers.UpSampling2D, x: Tensor) -> Tensor:
    """Upsampling by integer factors, nearest or bilinear."""
    if layer.interpolation not in ("nearest", "bilinear"):
        raise Unsupported(f"UpSampling2D with interpolation={layer.interpolation!r}")
    x = spatial_axes_last(g, x, layer.data_format)
    scales = np.array([1, 1, *per_axis(layer.size, 2)], np.float32)
    is_nearest = layer.interpolation == "nearest"
    value = g.op(
        "Resize",
        x.value,
        None,
        scales,
        mode="nearest" if is_nearest else "linear",
        coordinate_transformation_mode="asymmetric" if is_nearest else "half_pixel",
        nearest_mode="floor" if is_nearest else None,
    )
    return g.result(value, x)
