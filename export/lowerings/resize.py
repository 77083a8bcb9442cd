"""Images resized: keras.ops.image.resize, which the layer Resizing calls, and CenterCrop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
from keras import ops

from export.builder import Builder, Operand, Tensor, is_float
from export.errors import Unsupported
from export.keras_graph import in_inference
from export.lowerings.image_layout import as_images, from_images
from export.lowerings.operands import as_int64, cast
from export.lowerings.registry import register_lowering, register_operation
from export.lowerings.resampling import KERNELS, multiply_axis, resize_matrix
from export.lowerings.sizes import Size, as_size, scalar_of, size_of, size_vector, sizes_of

layers = keras.layers

_HALF_PIXEL: Any = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}


def resize(
    g: Builder, x: Tensor, size: Sequence[Size], interpolation: str, antialias: bool = False
) -> ir.Value:
    """Float images resized as `tf.image.resize` does it.

    Args:
        g: the builder.
        x: (N, H, W, C) in channels-first layout; see `as_images`.
        size: height and width of the result.
        interpolation: 'nearest', 'bilinear', 'area' or another name in `KERNELS`.
        antialias: widen the kernel where an axis shrinks.
    """
    if interpolation not in ("nearest", "area", *KERNELS):
        raise Unsupported(f"a resize with interpolation={interpolation!r}")
    sizes = list(zip((1, 2), size, strict=True))
    if all(x.shape[axis] == outputs for axis, outputs in sizes):
        return x.value
    if (
        interpolation == "bilinear"
        and not antialias
        and all(_resizes_alike(x.shape[axis], outputs) for axis, outputs in sizes)
    ):
        return _bilinear(g, x, size)
    if interpolation == "nearest":
        value = x.value
        for axis, outputs in sizes:
            if x.shape[axis] != outputs:
                value = g.op("Gather", value, _nearest(g, size_of(g, x, axis), outputs), axis=g.axis(x, axis))
        return value
    value, current = x.value, [size_of(g, x, axis) for axis in (1, 2)]
    for number in (1, 0):  # the last axis first: one product of two matrices
        if current[number] != size[number]:
            matrix = resize_matrix(g, current[number], size[number], interpolation, antialias)
            value = multiply_axis(g, value, current, number, matrix)
            current[number] = size[number]
    return value


def _nearest(g: Builder, inputs: Size, outputs: Size) -> Operand:
    """The index of the input that each output takes: floor((i + 1/2) inputs / outputs)."""
    if not isinstance(outputs, int):
        raise Unsupported("a resize to a dynamic size")
    centers = np.arange(outputs, dtype=np.float32) + np.float32(0.5)
    if isinstance(inputs, int):
        # In float32, as TensorFlow computes it.
        indices = np.floor(centers * (np.float32(inputs) / np.float32(outputs))).astype(np.int64)
        return np.minimum(indices, inputs - 1)
    scale = g.op("Div", g.op("Cast", inputs, to=int(ir.DataType.FLOAT)), np.float32(outputs))
    indices = g.op("Cast", g.op("Floor", g.op("Mul", centers, scale)), to=int(ir.DataType.INT64))
    return g.op("Min", indices, g.op("Sub", inputs, as_int64(1)))


def _bilinear(g: Builder, x: Tensor, size: Sequence[Size]) -> ir.Value:
    scales: Operand = None
    sizes: Operand = None
    if None in x.shape[1:3]:
        batch, _, _, channels = sizes_of(g, x)
        sizes = size_vector(g, [batch, channels, *size])
    else:
        factors = [_scale(*one) for one in zip(x.shape[1:3], size, strict=True)]  # type: ignore[arg-type]
        scales = np.array([1, 1, *factors], np.float32)
    return g.op("Resize", x.value, None, scales, sizes, **_HALF_PIXEL)


def _scale(inputs: int, outputs: int) -> np.float32:
    """A scale of which ONNX makes this number of outputs: it rounds inputs * scale down."""
    scale = np.float32(outputs / inputs)
    return scale if inputs * float(scale) >= outputs else np.nextafter(scale, np.float32(np.inf))


def _resizes_alike(inputs: Size | None, outputs: Size) -> bool:
    """Whether ONNX's Resize takes the positions that TensorFlow takes.

    The former divides by outputs / inputs, the latter multiplies by inputs / outputs. In float32, the positions in a
    large image may differ by 1e-5, and the result with them.
    """
    if not isinstance(inputs, int) or not isinstance(outputs, int):
        return True  # nothing is known of them
    centers = np.arange(outputs, dtype=np.float32) + np.float32(0.5)
    theirs = centers * (np.float32(inputs) / np.float32(outputs))
    return np.array_equal(centers / _scale(inputs, outputs), theirs)


@register_operation("resize")
def lower_resize(g: Builder, operation: keras.Operation, images: Tensor) -> Tensor:
    """keras.ops.image.resize. The result for integers is rounded."""
    dtype, size = images.dtype, operation.size
    x = as_images(g, images, operation.data_format)
    x = g.like(x, cast(g, x, "float32"), dtype="float32")
    if operation.crop_to_aspect_ratio:
        top, left, bottom, right = _box(g, x, size, _crop_to_aspect_ratio)
        x = _crop(g, x, (top, left), (bottom, right))
    elif operation.pad_to_aspect_ratio:
        above, left = _box(g, x, size, _pad_to_aspect_ratio)
        x = _pad(g, x, above, left, operation.fill_value)
    value = resize(g, x, size, operation.interpolation, operation.antialias)
    if not is_float(dtype):
        limits = np.iinfo(dtype)
        if limits.bits <= 16:
            value = g.op("Clip", value, np.float32(limits.min), np.float32(limits.max))
        value = cast(g, g.tensor(g.op("Round", value), (), dtype="float32"), dtype)
    return from_images(g, g.like(x, value, (x.shape[0], *size, x.shape[3])), operation.data_format)


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
    value = g.op("Slice", x.value, size_vector(g, starts), size_vector(g, ends), as_int64(2, 3))
    return g.like(x, value, (x.shape[0], *sizes, x.shape[3]))


def _pad(g: Builder, x: Tensor, above: Size, left: Size, fill_value: float) -> Tensor:
    pads = size_vector(g, [0, 0, above, left] * 2)
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
