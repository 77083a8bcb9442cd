"""Functions of TensorFlow on images: tf.image, and convolutions, pools and rearrangements of tf.nn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from export.keras2.tf_math import like

ops = keras.ops

Function = Callable[..., Any]

_METHODS = ("bilinear", "nearest", "bicubic", "area")  # by their numbers in TensorFlow 1


def _resize(
    images: Any,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
) -> Any:
    if preserve_aspect_ratio:
        raise ValueError("with preserve_aspect_ratio=True")
    if not all(isinstance(one, int) for one in size):
        if antialias or method not in ("bilinear", "nearest"):
            raise ValueError(f"to a dynamic size, with method={method!r} and antialias={antialias}")
        for axis in (1, 2):
            images = _resize_axis(images, size[axis - 1], axis, method)
        return images
    resized = ops.image.resize(
        images, tuple(size), interpolation=method, antialias=antialias, data_format="channels_last"
    )
    return resized if method == "nearest" else _as_float(resized)


def _resize_axis(x: Any, size: Any, axis: int, method: str) -> Any:
    """Resize one axis to a dynamic size: pixel i is at (i + 0.5) * old / new - 0.5 of the old image."""
    old = ops.shape(x)[axis]
    scale = ops.divide(ops.cast(old, "float32"), ops.cast(size, "float32"))
    positions = ops.multiply(ops.add(ops.arange(size, dtype="float32"), 0.5), scale)
    if method == "nearest":
        return ops.take(x, ops.minimum(ops.cast(ops.floor(positions), "int32"), old - 1), axis=axis)
    positions = ops.subtract(positions, 0.5)
    below = ops.floor(positions)
    share = ops.reshape(ops.subtract(positions, below), [-1 if one == axis else 1 for one in range(4)])
    first = ops.take(x, ops.maximum(ops.cast(below, "int32"), 0), axis=axis)
    last = ops.take(x, ops.minimum(ops.cast(ops.ceil(positions), "int32"), old - 1), axis=axis)
    return ops.add(first, ops.multiply(ops.subtract(last, first), ops.cast(share, first.dtype)))


def _as_float(x: Any) -> Any:
    return x if "float" in keras.backend.standardize_dtype(x.dtype) else ops.cast(x, "float32")


def _resize_of_version_1(
    images: Any,
    size: Any,
    method: Any = 0,
    align_corners: bool = False,
    preserve_aspect_ratio: bool = False,
    half_pixel_centers: bool = False,
) -> Any:
    if not half_pixel_centers:
        raise ValueError("without half_pixel_centers=True")
    return _resize(
        images, size, _METHODS[method] if isinstance(method, int) else method, preserve_aspect_ratio
    )


def _to_grayscale(images: Any) -> Any:
    return ops.image.rgb_to_grayscale(images, data_format="channels_last")


def _patches(images: Any, sizes: Any, strides: Any, rates: Any, padding: str) -> Any:
    size, stride, rate = (_window(one) for one in (sizes, strides, rates))
    return ops.image.extract_patches(
        images, size, stride, rate[0], padding=padding.lower(), data_format="channels_last"
    )


def _flip(axis: int) -> Function:
    return lambda image: ops.flip(image, axis=axis)


def _pool(function: Function) -> Function:
    def pool(input: Any, ksize: Any, strides: Any, padding: str, data_format: str | None = None) -> Any:
        window, steps = (_window(one, data_format) for one in (ksize, strides))
        return function(input, window, steps, padding.lower(), _format(data_format))

    return pool


def _convolution(function: Function) -> Function:
    def convolve(
        input: Any,
        filter: Any = None,
        strides: Any = 1,
        padding: Any = "VALID",
        data_format: str | None = None,
        dilations: Any = None,
        filters: Any = None,
        use_cudnn_on_gpu: bool = True,
    ) -> Any:
        if not isinstance(padding, str):
            raise ValueError("with explicit paddings")
        kernel = filters if filter is None else filter
        kernel = kernel if hasattr(kernel, "dtype") else np.asarray(kernel, np.float32)
        steps, dilation = (_window(one, data_format) for one in (strides, dilations or 1))
        return function(input, kernel, steps, padding.lower(), _format(data_format), dilation)

    return convolve


def _window(sizes: Any, data_format: str | None = None) -> Any:
    """The sizes along height and width, of one number, or of two or four as TensorFlow takes them."""
    if isinstance(sizes, int):
        return sizes
    sizes = list(sizes)
    if len(sizes) == 1:
        return sizes[0]
    if len(sizes) < 4:
        return tuple(sizes)
    return tuple(sizes[2:] if _format(data_format) == "channels_first" else sizes[1:-1])


def _format(data_format: str | None) -> str:
    return "channels_first" if (data_format or "N").startswith("NC") else "channels_last"


def _bias_add(value: Any, bias: Any, data_format: str | None = None) -> Any:
    if _format(data_format) == "channels_first":
        raise ValueError(f"with data_format={data_format!r}")
    return ops.add(value, like(bias, value))


def _depth_to_space(input: Any, block_size: int, data_format: str = "NHWC") -> Any:
    _check_format(data_format)
    _, height, width, channels = ops.shape(input)
    size = block_size
    x = ops.reshape(input, (-1, height, width, size, size, channels // size**2))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height * size, width * size, channels // size**2))


def _space_to_depth(input: Any, block_size: int, data_format: str = "NHWC") -> Any:
    _check_format(data_format)
    _, height, width, channels = ops.shape(input)
    size = block_size
    x = ops.reshape(input, (-1, height // size, size, width // size, size, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height // size, width // size, channels * size**2))


def _check_format(data_format: str) -> None:
    if data_format != "NHWC":
        raise ValueError(f"with data_format={data_format!r}")


IMAGES: dict[str, Function] = {
    "image.resize": _resize,
    "compat.v1.image.resize": _resize_of_version_1,
    "compat.v1.image.resize_images": _resize_of_version_1,
    "image.rgb_to_grayscale": _to_grayscale,
    "image.extract_patches": _patches,
    "image.flip_left_right": _flip(2),
    "image.flip_up_down": _flip(1),
    "nn.max_pool2d": _pool(ops.max_pool),
    "nn.max_pool": _pool(ops.max_pool),
    "nn.avg_pool2d": _pool(ops.average_pool),
    "nn.avg_pool": _pool(ops.average_pool),
    "nn.conv2d": _convolution(ops.conv),
    "nn.depthwise_conv2d": _convolution(ops.depthwise_conv),
    "nn.bias_add": _bias_add,
    "nn.depth_to_space": _depth_to_space,
    "nn.space_to_depth": _space_to_depth,
}
# These calculate with the height and width of their input.
OF_SIZES = ("nn.depth_to_space", "nn.space_to_depth")
