"""Filters of images and what is measured with them: blur, edges, structural similarity, signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
from keras import ops

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.convolution import padding_attributes
from export.lowerings.image_layout import as_images, from_images
from export.lowerings.operands import as_int64
from export.lowerings.registry import register_operation
from export.lowerings.sizes import reshape_to, sizes_of


def gaussian(size: int, sigma: float) -> np.ndarray:
    """The normalized weights of a Gaussian window."""
    weights = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / sigma) ** 2)
    return weights / weights.sum()


def _channels(images: Tensor) -> int:
    if images.shape[3] is None:
        raise Unsupported("a filter of images with a dynamic number of channels")
    return images.shape[3]


def _filter(g: Builder, x: ir.Value, channels: int, kernels: np.ndarray, padding: str = "valid") -> ir.Value:
    """Each channel filtered by each of the kernels (..., height, width); an output channel for each pair."""
    *_, height, width = kernels.shape
    weights = np.tile(kernels.reshape(-1, 1, height, width), (channels, 1, 1, 1))
    pads = padding_attributes(padding, (None, None), (height, width), (1, 1), (1, 1))
    return g.op("Conv", x, g.weight(weights, "kernel"), group=channels, **pads)


@register_operation("gaussian_blur", optional=True)
def lower_gaussian_blur(g: Builder, operation: keras.Operation, images: Tensor) -> Tensor:
    """Images filtered by a Gaussian window. Without a data format, Keras takes the channels to be last."""
    data_format = operation.data_format or "channels_last"
    x = as_images(g, images, data_format)
    sizes, sigmas = operation.kernel_size, operation.sigma
    # Keras computes the transposed kernel, and reshapes it.
    kernel = np.outer(gaussian(sizes[1], sigmas[1]), gaussian(sizes[0], sigmas[0])).reshape(sizes)
    return from_images(g, g.like(x, _filter(g, x.value, _channels(x), kernel, "same")), data_format)


SOBEL = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float32)


@register_operation("sobel_edges", optional=True)
def lower_sobel_edges(g: Builder, operation: keras.Operation, images: Tensor) -> Tensor:
    """Vertical and horizontal differences of each channel, on a last axis."""
    x = as_images(g, images, operation.data_format)
    channels = _channels(x)
    padded = g.op("Pad", x.value, as_int64(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    edges = _filter(g, padded, channels, np.stack([SOBEL, SOBEL.T]))
    _, height, width, _ = sizes_of(g, x)
    edges = reshape_to(g, edges, [0, channels, 2, height, width])
    is_last = operation.data_format == "channels_last"
    return g.result(g.op("Transpose", edges, perm=[0, 3, 4, 1, 2] if is_last else [0, 1, 3, 4, 2]))


def _structural_similarity(a: Any, b: Any, kernel: np.ndarray, c1: float, c2: float) -> Any:
    """Wang et al. 2004, on (N, H, W, C)."""

    def mean(x: Any) -> Any:
        return ops.depthwise_conv(x, kernel, data_format="channels_last")

    mean_a, mean_b = mean(a), mean(b)
    squares, product = mean_a * mean_a + mean_b * mean_b, mean_a * mean_b
    variances, covariance = mean(a * a) + mean(b * b) - squares, mean(a * b) - product
    similarity = (2.0 * product + c1) * (2.0 * covariance + c2)
    return ops.mean(similarity / ((squares + c1) * (variances + c2)), axis=[1, 2, 3])


@register_operation("ssim", optional=True)
def lower_ssim(g: Builder, operation: keras.Operation, image1: Tensor, image2: Tensor) -> Tensor:
    """The structural similarity of two images."""
    a, b = (as_images(g, x, operation.data_format) for x in (image1, image2))
    window = gaussian(operation.filter_size, operation.filter_sigma).astype(np.float32)
    kernel = np.tile(np.outer(window, window)[..., None, None], (1, 1, _channels(a), 1))
    c1, c2 = ((k * operation.max_val) ** 2 for k in (operation.k1, operation.k2))
    result: Tensor = g.lower(_structural_similarity, a, b, kernel, c1, c2)
    return result if image1.rank == 4 else g.result(g.op("Squeeze", result.value, as_int64(0)))


@register_operation("psnr")
def lower_psnr(g: Builder, operation: keras.Operation, x1: Tensor, x2: Tensor) -> Tensor:
    """The peak signal-to-noise ratio, in decibels, of all images at once."""
    decibels = 10 / math.log(10)

    def ratio(a: Any, b: Any) -> Any:
        peak = 2 * decibels * math.log(operation.max_val)
        return peak - decibels * ops.log(ops.mean(ops.square(a - b)))

    result: Tensor = g.lower(ratio, x1, x2)
    return result
