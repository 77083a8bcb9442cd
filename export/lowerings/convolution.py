"""Convolutions: Conv1D to Conv3D, depthwise and separable ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from export.builder import Builder, Shape, Tensor
from export.lowerings.activation import activate
from export.lowerings.registry import register_lowering

layers = keras.layers


def spatial(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """`x` held as (N, C, ...), as ONNX's spatial operators want it, whichever data format the layer has."""
    return g.channels_first(x) if layer.data_format == "channels_last" else g.keras_layout(x)


def per_axis(value: int | Sequence[int], count: int) -> list[int]:
    """One number for each spatial axis."""
    return [value] * count if isinstance(value, int) else [int(item) for item in value]


def padding_attributes(
    padding: str, sizes: Shape, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> dict[str, Any]:
    """ONNX's `pads` or `auto_pad` for Keras' padding of the spatial axes.

    Keras pads 'same' so that the output has ceil(size / stride) places; an odd place goes behind.
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
        # With a stride of 1 the size does not matter.
        places = 1 if size is None else -(-size // stride)
        totals.append(span if size is None else max(0, (places - 1) * stride + span + 1 - size))
    before = [total // 2 for total in totals]
    return {"pads": [*before, *(total - half for total, half in zip(totals, before, strict=True))]}


def convolve(
    g: Builder,
    x: Tensor,
    kernel: np.ndarray,
    bias: Any,
    *,
    groups: int,
    strides: Sequence[int],
    dilations: Sequence[int],
    padding: str,
) -> Any:
    """A Conv node over `x`, held as (N, C, ...); `kernel` (out, in / groups, ...)."""
    sizes = kernel.shape[2:]
    return g.op(
        "Conv",
        x.value,
        g.weight(kernel, "kernel"),
        None if bias is None else g.weight(bias, "bias"),
        kernel_shape=list(sizes),
        strides=list(strides),
        dilations=list(dilations),
        group=groups,
        **padding_attributes(padding, x.held_shape[2:], sizes, strides, dilations),
    )


@register_lowering(layers.Conv1D, layers.Conv2D, layers.Conv3D, any_layout=True)
def lower_conv(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Convolution with strides, dilation, groups and any padding."""
    x = spatial(g, layer, x)
    rank = x.rank - 2
    kernel = np.moveaxis(np.asarray(layer.kernel), (-1, -2), (0, 1))  # (..., in, out) -> (out, in, ...)
    value = convolve(
        g,
        x,
        kernel,
        layer.bias if layer.use_bias else None,
        groups=layer.groups,
        strides=per_axis(layer.strides, rank),
        dilations=per_axis(layer.dilation_rate, rank),
        padding=layer.padding,
    )
    return activate(g, layer.activation, g.result(x, value))


def depthwise_kernel(kernel: Any) -> np.ndarray:
    """(..., in, multiplier) -> (in * multiplier, 1, ...), the multiplier running fastest as in Keras."""
    moved = np.moveaxis(np.asarray(kernel), (-2, -1), (0, 1))
    return moved.reshape(-1, 1, *moved.shape[2:])


@register_lowering(layers.DepthwiseConv1D, layers.DepthwiseConv2D, any_layout=True)
def lower_depthwise_conv(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Depthwise convolution: as many groups as input channels."""
    x = spatial(g, layer, x)
    rank = x.rank - 2
    kernel = layer.kernel
    value = convolve(
        g,
        x,
        depthwise_kernel(kernel),
        layer.bias if layer.use_bias else None,
        groups=int(kernel.shape[-2]),
        strides=per_axis(layer.strides, rank),
        dilations=per_axis(layer.dilation_rate, rank),
        padding=layer.padding,
    )
    return activate(g, layer.activation, g.result(x, value))


@register_lowering(layers.SeparableConv1D, layers.SeparableConv2D, any_layout=True)
def lower_separable_conv(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Depthwise, then pointwise convolution."""
    x = spatial(g, layer, x)
    rank = x.rank - 2
    depthwise, pointwise = layer.depthwise_kernel, np.asarray(layer.pointwise_kernel)
    value = convolve(
        g,
        x,
        depthwise_kernel(depthwise),
        None,
        groups=int(depthwise.shape[-2]),
        strides=per_axis(layer.strides, rank),
        dilations=per_axis(layer.dilation_rate, rank),
        padding=layer.padding,
    )
    value = convolve(
        g,
        g.result(x, value),
        np.moveaxis(pointwise, (-1, -2), (0, 1)),
        layer.bias if layer.use_bias else None,
        groups=1,
        strides=[1] * rank,
        dilations=[1] * rank,
        padding="valid",
    )
    return activate(g, layer.activation, g.result(x, value))
