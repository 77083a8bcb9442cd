"""Images resized: keras.ops.image.resize, which the layer Resizing calls, and CenterCrop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from export import size_operations
from export.builder import Builder, Tensor, is_float
from export.keras_graph import in_inference
from export.lowerings.image_layout import as_images, from_images
from export.lowerings.interpolation import resize
from export.lowerings.operands import as_int64, cast
from export.lowerings.registry import register_lowering, register_operation
from export.lowerings.sizes import Size, as_size, scalar_of, size_of, size_vector

layers = keras.layers


@register_operation("resize")
def lower_resize(g: Builder, operation: keras.Operation, images: Tensor) -> Tensor:
    """keras.ops.image.resize. The result for integers is rounded."""
    return _resized(g, operation, images, operation.size)


@register_lowering(size_operations.Resize, any_layout=True)
def lower_resize_to_sizes(
    g: Builder, operation: size_operations.Resize, images: Tensor, sizes: Sequence[Tensor | int]
) -> Tensor:
    """keras.ops.image.resize to a dynamic height and width."""
    return _resized(g, operation, images, [as_size(g, size) for size in sizes])


def _resized(g: Builder, operation: Any, images: Tensor, size: Sequence[Size]) -> Tensor:
    dtype = images.dtype
    is_nearest = operation.interpolation == "nearest"
    x = as_images(g, images, operation.data_format, any_layout=is_nearest)
    x = g.like(x, cast(g, x, "float32"), dtype="float32")
    if operation.crop_to_aspect_ratio:
        top, left, bottom, right = _box(g, x, operation.size, _crop_to_aspect_ratio)
        x = _crop(g, x, (top, left), (bottom, right))
    elif operation.pad_to_aspect_ratio:
        above, left = _box(g, x, operation.size, _pad_to_aspect_ratio)
        x = _pad(g, x, above, left, operation.fill_value)
    value = resize(g, x, size, operation.interpolation, operation.antialias)
    if not is_float(dtype):
        limits = np.iinfo(dtype)
        if limits.bits <= 16:
            value = g.op("Clip", value, np.float32(limits.min), np.float32(limits.max))
        value = cast(g, g.tensor(g.op("Round", value), (), dtype="float32"), dtype)
    sizes = [one if isinstance(one, int) else None for one in size]
    return from_images(g, g.like(x, value, (x.shape[0], *sizes, x.shape[3])), operation.data_format)


# Boxes within or around an image, by functions of keras.ops: lowered where the size of the image is dynamic.


def _of_aspect_ratio(height: Any, width: Any, size: Sequence[int]) -> tuple[Any, Any]:
    """The height for the width and the width for the height, as Keras rounds them."""
    return (
        ops.cast(ops.cast(width * size[0], "float32") / size[1], "int32"),
        ops.cast(ops.cast(height * size[1], "float32") / size[0], "int32"),
    )


def _centered(outer: Any, inner: Any) -> Any:
    return ops.cast(ops.cast(outer - inner, "float32") / 2.0, "int32")


def _crop_to_aspect_ratio(height: Any, width: Any, size: Sequence[int]) -> tuple[Any, ...]:
    """The largest box of an aspect ratio in the middle of an image: top, left, bottom, right."""
    for_width, for_height = _of_aspect_ratio(height, width, size)
    box = ops.maximum(ops.minimum(height, for_width), 1), ops.maximum(ops.minimum(width, for_height), 1)
    top, left = _centered(height, box[0]), _centered(width, box[1])
    return top, left, top + box[0], left + box[1]


def _pad_to_aspect_ratio(height: Any, width: Any, size: Sequence[int]) -> tuple[Any, ...]:
    """What Keras pads above and below, and on the left and on the right."""
    for_width, for_height = _of_aspect_ratio(height, width, size)
    return _centered(ops.maximum(height, for_width), height), _centered(ops.maximum(width, for_height), width)


def _center_crop(height: Any, width: Any, size: Sequence[int]) -> tuple[Any, ...]:
    """The box of a size in the middle of an image; of its aspect ratio if the image is smaller than that."""
    is_larger = ops.logical_and(height >= size[0], width >= size[1])
    top, left = _centered(height, size[0]), _centered(width, size[1])
    box = (top, left, top + size[0], left + size[1])
    otherwise = _crop_to_aspect_ratio(height, width, size)
    return tuple(ops.where(is_larger, one, other) for one, other in zip(box, otherwise, strict=True))


def _box(g: Builder, x: Tensor, size: Sequence[int], function: Any) -> list[Size]:
    """What a function of an image's height and width returns."""
    height, width = size_of(g, x, 1), size_of(g, x, 2)
    if isinstance(height, int) and isinstance(width, int):
        return [int(one) for one in function(np.int32(height), np.int32(width), size)]
    scalars = [g.tensor(scalar_of(g, one), (), dtype="int32") for one in (height, width)]
    return [as_size(g, one) for one in g.lower(function, *scalars, size)]


def _crop(g: Builder, x: Tensor, starts: Sequence[Size], ends: Sequence[Size]) -> Tensor:
    sizes = [
        end - start if isinstance(start, int) and isinstance(end, int) else None
        for start, end in zip(starts, ends, strict=True)
    ]
    value = g.op(
        "Slice", x.value, size_vector(g, starts), size_vector(g, ends), as_int64(g.axis(x, 1), g.axis(x, 2))
    )
    return g.like(x, value, (x.shape[0], *sizes, x.shape[3]))


def _pad(g: Builder, x: Tensor, above: Size, left: Size, fill_value: float) -> Tensor:
    pads = size_vector(g, ([0, 0, above, left] if x.channels_first else [0, above, left, 0]) * 2)
    sizes = [
        size + 2 * added if isinstance(size, int) and isinstance(added, int) else None
        for size, added in zip(x.shape[1:3], (above, left), strict=True)
    ]
    return g.like(x, g.op("Pad", x.value, pads, np.float32(fill_value)), (x.shape[0], *sizes, x.shape[3]))


@register_lowering(layers.CenterCrop, any_layout=True)
def lower_center_crop(g: Builder, layer: keras.layers.CenterCrop, images: Any) -> Any:
    """The middle of images. Smaller ones are cropped to the aspect ratio, and resized."""
    if not isinstance(images, Tensor) or None not in images.shape[-3:]:
        return g.lower(in_inference(layer), images)
    size = (layer.height, layer.width)
    x = as_images(g, images, layer.data_format)
    x = g.like(x, cast(g, x, "float32"), dtype="float32")
    top, left, bottom, right = _box(g, x, size, _center_crop)
    value = resize(g, _crop(g, x, (top, left), (bottom, right)), size, "bilinear")
    return from_images(g, g.like(x, value, (x.shape[0], *size, x.shape[3])), layer.data_format)
