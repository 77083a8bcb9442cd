"""Convolutions: layers of one to three dimensions, depthwise and separable ones, and their operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import keras
import numpy as np

from export.builder import Array, Builder, Shape, Tensor
from export.errors import Unsupported
from export.lowerings.activation import activate
from export.lowerings.operands import Argument
from export.lowerings.registry import register_lowering, register_operation

layers = keras.layers


def spatial_axes_last(g: Builder, x: Tensor, data_format: str | None) -> Tensor:
    """`x` as (N, C, ...), the layout of ONNX's spatial operators, for either data format (None: Keras' default)."""
    is_last = (data_format or keras.config.image_data_format()) == "channels_last"
    return g.channels_first(x) if is_last else g.keras_layout(x)


def per_axis(value: int | Sequence[int], count: int) -> list[int]:
    """One number for each spatial axis."""
    return [value] * count if isinstance(value, int) else [int(item) for item in value]


class WindowPadding(TypedDict, total=False):
    """The padding of a window operator: amounts, or a rule for dynamic sizes."""

    pads: list[int]
    auto_pad: str


def padding_attributes(
    padding: str, sizes: Shape, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> WindowPadding:
    """ONNX's `pads` or `auto_pad` for Keras' padding of the spatial axes.

    With 'same', Keras pads to ceil(size / stride) outputs; if the total is odd, one more at the end.
    """
    if padding == "valid":
        return {"pads": [0] * 2 * len(sizes)}
    spans = [(length - 1) * dilation for length, dilation in zip(kernel, dilations, strict=True)]
    if padding == "causal":
        return {"pads": [*spans, *[0] * len(sizes)]}
    if None in sizes and any(stride > 1 for stride in strides):
        return {"auto_pad": "SAME_UPPER"}
    totals = []
    for size, stride, span in zip(sizes, strides, spans, strict=True):
        # With a stride of 1 the total doesn't depend on the size.
        outputs = 1 if size is None else -(-size // stride)
        totals.append(span if size is None else max(0, (outputs - 1) * stride + span + 1 - size))
    before = [total // 2 for total in totals]
    return {"pads": [*before, *(total - half for total, half in zip(totals, before, strict=True))]}


def convolve(
    g: Builder,
    x: Tensor,
    kernel: np.ndarray,
    bias: Array | None,
    *,
    groups: int,
    strides: int | Sequence[int],
    dilations: int | Sequence[int],
    padding: str,
) -> Tensor:
    """A Conv node.

    Args:
        g: the builder.
        x: (N, C, ...), see `spatial_axes_last`.
        kernel: (out, in / groups, ...).
        bias: (out,), or None.
        groups: number of groups of channels.
        strides: one number, or one for each spatial axis.
        dilations: likewise.
        padding: Keras' 'valid', 'same' or 'causal'.
    """
    rank, sizes = x.rank - 2, kernel.shape[2:]
    strides, dilations = per_axis(strides, rank), per_axis(dilations, rank)
    value = g.op(
        "Conv",
        x.value,
        g.weight(kernel, "kernel"),
        None if bias is None else g.weight(bias, "bias"),
        kernel_shape=list(sizes),
        strides=strides,
        dilations=dilations,
        group=groups,
        **padding_attributes(padding, x.onnx_shape[2:], sizes, strides, dilations),
    )
    return g.result(value, x)


def onnx_kernel(kernel: Array) -> np.ndarray:
    """(..., in / groups, out) -> (out, in / groups, ...)."""
    return np.moveaxis(np.asarray(kernel), (-1, -2), (0, 1))


def onnx_depthwise_kernel(kernel: Array) -> np.ndarray:
    """(..., in, multiplier) -> (in * multiplier, 1, ...), with the multiplier running fastest as in Keras."""
    moved = np.moveaxis(np.asarray(kernel), (-2, -1), (0, 1))
    return moved.reshape(-1, 1, *moved.shape[2:])


# Layers


@register_lowering(layers.Conv1D, layers.Conv2D, layers.Conv3D, any_layout=True)
def lower_conv(g: Builder, layer: keras.layers.Conv2D, x: Tensor) -> Tensor:
    """Convolution with strides, dilation, groups and any padding."""
    result = convolve(
        g,
        spatial_axes_last(g, x, layer.data_format),
        onnx_kernel(layer.kernel),
        layer.bias if layer.use_bias else None,
        groups=layer.groups,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        padding=layer.padding,
    )
    return activate(g, layer.activation, result)


@register_lowering(layers.DepthwiseConv1D, layers.DepthwiseConv2D, any_layout=True)
def lower_depthwise_conv(g: Builder, layer: keras.layers.DepthwiseConv2D, x: Tensor) -> Tensor:
    """Depthwise convolution: a group for each input channel."""
    result = convolve(
        g,
        spatial_axes_last(g, x, layer.data_format),
        onnx_depthwise_kernel(layer.kernel),
        layer.bias if layer.use_bias else None,
        groups=int(layer.kernel.shape[-2]),
        strides=layer.strides,
        dilations=layer.dilation_rate,
        padding=layer.padding,
    )
    return activate(g, layer.activation, result)


@register_lowering(layers.SeparableConv1D, layers.SeparableConv2D, any_layout=True)
def lower_separable_conv(g: Builder, layer: keras.layers.SeparableConv2D, x: Tensor) -> Tensor:
    """Depthwise, then pointwise convolution."""
    depthwise = convolve(
        g,
        spatial_axes_last(g, x, layer.data_format),
        onnx_depthwise_kernel(layer.depthwise_kernel),
        None,
        groups=int(layer.depthwise_kernel.shape[-2]),
        strides=layer.strides,
        dilations=layer.dilation_rate,
        padding=layer.padding,
    )
    result = convolve(
        g,
        depthwise,
        onnx_kernel(layer.pointwise_kernel),
        layer.bias if layer.use_bias else None,
        groups=1,
        strides=1,
        dilations=1,
        padding="valid",
    )
    return activate(g, layer.activation, result)


# Operations


def _constant_kernel(kernel: Argument) -> Array:
    if isinstance(kernel, Tensor):
        raise Unsupported("a convolution with a computed kernel")
    return kernel


@register_operation("conv")
def lower_conv_operation(g: Builder, operation: keras.Operation, inputs: Tensor, kernel: Argument) -> Tensor:
    """keras.ops.conv with a constant kernel."""
    x, array = spatial_axes_last(g, inputs, operation.data_format), onnx_kernel(_constant_kernel(kernel))
    channels = x.onnx_shape[1]
    if channels is None:
        raise Unsupported("a convolution over a dynamic number of channels")
    return convolve(
        g,
        x,
        array,
        None,
        groups=channels // array.shape[1],
        strides=operation.strides,
        dilations=operation.dilation_rate,
        padding=operation.padding,
    )


@register_operation("depthwise_conv")
def lower_depthwise_conv_operation(
    g: Builder, operation: keras.Operation, inputs: Tensor, kernel: Argument
) -> Tensor:
    """keras.ops.depthwise_conv with a constant kernel."""
    array = _constant_kernel(kernel)
    return convolve(
        g,
        spatial_axes_last(g, inputs, operation.data_format),
        onnx_depthwise_kernel(array),
        None,
        groups=int(np.asarray(array).shape[-2]),
        strides=operation.strides,
        dilations=operation.dilation_rate,
        padding=operation.padding,
    )
