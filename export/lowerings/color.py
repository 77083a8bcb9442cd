"""Color spaces: operations of keras.ops.image on images with three channels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from export.builder import Builder, Tensor
from export.lowerings.image_layout import as_images, from_images
from export.lowerings.operands import as_int64, cast
from export.lowerings.registry import LoweringFunction, register_operation

LUMA = np.array([0.2989, 0.5870, 0.1140], np.float32)


@register_operation("rgb_to_grayscale")
def lower_rgb_to_grayscale(g: Builder, operation: keras.Operation, images: Tensor) -> Tensor:
    """One channel: a weighted sum of red, green and blue. An image that has one already stays as it is."""
    x = as_images(g, images, operation.data_format)
    if x.shape[3] == 1:
        return images
    value = g.op("Conv", cast(g, x, "float32"), LUMA.reshape(1, 3, 1, 1))
    gray = g.tensor(value, (*x.shape[:3], 1), True, "float32")
    return from_images(g, g.like(gray, cast(g, gray, images.dtype)), operation.data_format)


def _hsv_of_rgb(red: Any, green: Any, blue: Any) -> tuple[Any, ...]:
    value = ops.maximum(ops.maximum(red, green), blue)
    span = value - ops.minimum(ops.minimum(red, green), blue)
    saturation = ops.where(value > 0.0, span / value, 0.0)
    step = (1.0 / span) * np.float32(1 / 6)
    hue = ops.where(
        ops.equal(red, value),
        step * (green - blue),
        ops.where(
            ops.equal(green, value),
            step * (blue - red) + np.float32(2 / 6),
            step * (red - green) + np.float32(4 / 6),
        ),
    )
    hue = ops.where(span > 0.0, hue, 0.0)
    return ops.where(hue < 0.0, hue + 1.0, hue), saturation, value


def _rgb_of_hsv(hue: Any, saturation: Any, value: Any) -> tuple[Any, ...]:
    angle = hue * 6.0
    shares = (
        ops.absolute(angle - 3.0) - 1.0,
        2.0 - ops.absolute(angle - 2.0),
        2.0 - ops.absolute(angle - 4.0),
    )
    return tuple((1.0 - saturation + saturation * ops.clip(share, 0.0, 1.0)) * value for share in shares)


def _of_channels(function: Any) -> LoweringFunction:
    """An operation that computes three channels from three."""

    def lower(g: Builder, operation: keras.Operation, images: Tensor) -> Tensor:
        x = as_images(g, images, operation.data_format)
        channels = g.op("Split", x.value, as_int64(1, 1, 1), axis=1, outputs=3)
        outputs = g.lower(function, *(g.like(x, channel, (*x.shape[:3], 1)) for channel in channels))
        joined = g.op("Concat", *(g.channels_first(one).value for one in outputs), axis=1)
        return from_images(g, g.like(x, joined), operation.data_format)

    return lower


register_operation("rgb_to_hsv")(_of_channels(_hsv_of_rgb))
register_operation("hsv_to_rgb")(_of_channels(_rgb_of_hsv))
