"""Images, sequences and volumes upsampled by integer factors."""

from __future__ import annotations

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.lowerings.convolution import per_axis, spatial_axes_last
from export.lowerings.image_layout import as_images, from_images
from export.lowerings.interpolation import resize
from export.lowerings.registry import LoweringFunction, register_lowering
from export.lowerings.sizes import product, size_of

layers = keras.layers


def _up_sampling(rank: int) -> LoweringFunction:
    def lower(g: Builder, layer: keras.layers.Layer, x: Tensor) -> Tensor:
        x = spatial_axes_last(g, x, getattr(layer, "data_format", "channels_last"))
        factors, interpolation = per_axis(layer.size, rank), getattr(layer, "interpolation", "nearest")
        if interpolation == "nearest":
            value = g.op(
                "Resize",
                x.value,
                None,
                np.array([1, 1, *factors], np.float32),
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
            return g.result(value, x)
        images = as_images(g, x, layer.data_format)
        size = [product(g, size_of(g, images, axis), factors[axis - 1]) for axis in (1, 2)]
        known = [one if isinstance(one, int) else None for one in size]
        value = resize(g, images, size, interpolation)
        shape = (images.shape[0], *known, images.shape[3])
        return from_images(g, g.like(images, value, shape), layer.data_format)

    return lower


register_lowering(layers.UpSampling1D, any_layout=True)(_up_sampling(1))
register_lowering(layers.UpSampling2D, any_layout=True)(_up_sampling(2))
register_lowering(layers.UpSampling3D, any_layout=True)(_up_sampling(3))
