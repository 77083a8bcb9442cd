"""Patches of images, windows of sequences, and blocks of pixels that become channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Shape, Tensor
from export.errors import Unsupported
from export.lowerings.convolution import per_axis, spatial_axes_last
from export.lowerings.operands import as_int64
from export.lowerings.registry import register_operation
from export.lowerings.sizes import size_of

ops = keras.ops


@register_operation("extract_patches")
def lower_extract_patches(g: Builder, operation: Any, images: Tensor) -> Tensor:
    """Patches as the channels of a smaller image or volume: (N, H, W, C) to (N, h, w, rows * columns * C)."""
    size, lengths = list(operation.size), images.shape[1:-1]
    strides, dilations = (
        per_axis(operation.strides or size, len(size)),
        per_axis(operation.dilation_rate, len(size)),
    )
    is_tiling = strides == size and set(dilations) == {1} and images.rank == len(size) + 2
    if is_tiling and operation.data_format == "channels_last" and _divides(lengths, size):
        return _tiles(g, images, size)
    return g.lower(_patches, images, size, strides, dilations, operation.padding, operation.data_format)


def _divides(lengths: Shape, size: Sequence[int]) -> bool:
    return all(length is not None and length % one == 0 for length, one in zip(lengths, size, strict=True))


def _tiles(g: Builder, images: Tensor, size: Sequence[int]) -> Tensor:
    """Patches side by side: a Transpose between two Reshapes."""
    axes = range(len(size))
    counts = [length // one for length, one in zip(images.shape[1:-1], size, strict=True)]  # type: ignore[operator]
    blocks = [number for pair in zip(counts, size, strict=True) for number in pair]
    channels, of_block = images.shape[-1], [0] if images.shape[0] is None else [images.shape[0]]
    first = 2 if images.channels_first else 1
    sizes = [*of_block, channels, *blocks] if images.channels_first else [*of_block, *blocks, channels]
    value = g.op("Reshape", images.value, as_int64(*sizes))  # type: ignore[arg-type]
    channel_axis = 1 if images.channels_first else 1 + 2 * len(size)
    order = [0, *(first + 2 * axis for axis in axes), *(first + 2 * axis + 1 for axis in axes), channel_axis]
    return g.result(g.reshape(g.op("Transpose", value, perm=order), g.output_shapes[0]))


def _patches(
    images: Any, size: list[int], strides: list[int], dilations: list[int], padding: str, data_format: str
) -> Any:
    """A convolution whose kernel is an identity."""
    if len(images.shape) == len(size) + 1:  # a single image
        images = ops.expand_dims(images, 0)
        return ops.squeeze(_patches(images, size, strides, dilations, padding, data_format), 0)
    channels = images.shape[-1 if data_format == "channels_last" else 1]
    number = math.prod(size) * channels
    kernel = np.eye(number, dtype=np.float32).reshape(*size, channels, number)
    return ops.conv(images, kernel, strides, padding, data_format, dilations)


@register_operation("extract_sequences")
def lower_extract_sequences(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Windows of the last axis: (..., T) to (..., number, length)."""
    return g.result(windows(g, g.keras_layout(x), operation.sequence_length, operation.sequence_stride))


def windows(g: Builder, x: Tensor, length: int, stride: int) -> ir.Value:
    """Windows of the last axis of a tensor in Keras' layout."""
    size, offsets = size_of(g, x, -1), np.arange(length)
    if isinstance(size, int):
        indices = g.constant((np.arange(0, size - length + 1, stride)[:, None] + offsets).astype(np.int64))
    else:
        end = g.op("Squeeze", g.op("Sub", size, as_int64(length - 1)), as_int64(0))
        starts = g.op("Range", np.array(0, np.int64), end, np.array(stride, np.int64))
        indices = g.op("Add", g.op("Unsqueeze", starts, as_int64(1)), offsets.astype(np.int64))
    return g.op("Gather", x.value, indices, axis=x.rank - 1)


@register_operation("space_to_depth", optional=True)
def lower_space_to_depth(g: Builder, operation: Any, x: Tensor) -> Tensor:
    """Blocks of pixels as channels."""
    x = spatial_axes_last(g, x, operation.data_format)
    return g.result(g.op("SpaceToDepth", x.value, blocksize=operation.block_size), x)


@register_operation("depth_to_space", optional=True)
def lower_depth_to_space(g: Builder, operation: Any, x: Tensor) -> Tensor:
    """Channels as blocks of pixels."""
    x = spatial_axes_last(g, x, operation.data_format)
    return g.result(g.op("DepthToSpace", x.value, blocksize=operation.block_size, mode="DCR"), x)


@register_operation("unfold", optional=True)
def lower_unfold(g: Builder, operation: Any, x: Tensor) -> Tensor:
    """Windows of an image, each a column: (N, C, H, W) to (N, C * rows * columns, number)."""
    x = g.keras_layout(x)
    value = _convolve_by_identity(g, "Conv", x.value, operation, x.shape[1])
    return g.result(g.reshape(value, g.output_shapes[0]))


@register_operation("fold", optional=True)
def lower_fold(g: Builder, operation: Any, x: Tensor) -> Tensor:
    """Columns put back as windows of an image, added up where they overlap."""
    kernel, outputs = per_axis(operation.kernel_size, 2), per_axis(operation.output_size, 2)
    strides, pads = per_axis(operation.stride, 2), per_axis(operation.padding, 2)
    dilations = per_axis(operation.dilation, 2)
    spans = [outputs[i] + 2 * pads[i] - dilations[i] * (kernel[i] - 1) - 1 for i in (0, 1)]
    counts = [span // stride + 1 for span, stride in zip(spans, strides, strict=True)]
    remainders = [span % stride for span, stride in zip(spans, strides, strict=True)]
    images = g.reshape(g.keras_layout(x).value, (x.shape[0], x.shape[1], *counts))
    channels = g.output_shapes[0][1]
    return g.result(_convolve_by_identity(g, "ConvTranspose", images, operation, channels, remainders))


def _convolve_by_identity(
    g: Builder,
    op_type: str,
    value: ir.Value,
    operation: Any,
    channels: int | None,
    remainders: list[int] | None = None,
) -> ir.Value:
    """A convolution that has a filter for each position of a window, for each channel on its own."""
    if channels is None:
        raise Unsupported("windows of a dynamic number of channels")
    size = per_axis(operation.kernel_size, 2)
    filters = np.eye(math.prod(size), dtype=np.float32).reshape(-1, 1, *size)
    return g.op(
        op_type,
        value,
        np.tile(filters, (channels, 1, 1, 1)),
        kernel_shape=size,
        strides=per_axis(operation.stride, 2),
        dilations=per_axis(operation.dilation, 2),
        pads=per_axis(operation.padding, 2) * 2,
        group=channels,
        output_padding=remainders,
    )
