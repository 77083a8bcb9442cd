"""Convolutions: layers of one to three dimensions, depthwise and separable ones, and their operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypedDict

import keras
import numpy as np

from export.builder import Array, Builder, Shape, Tensor
from export.errors import Unsupported
from export.keras_values import as_numpy
from export.lowerings.activation import activate
from export.lowerings.operands import Argument
from export.lowerings.registry import register_lowering, register_operation

layers = keras.layers

Kernel = np.ndarray | Tensor  # in ONNX's layout: a constant, or computed in the graph


class Windowed(Protocol):
    """What the layers and the operations have in common: how a kernel moves over the input."""

    strides: int | Sequence[int]
    dilation_rate: int | Sequence[int]
    padding: str
    data_format: str | None


def is_channels_last(data_format: str | None) -> bool:
    """Whether a data format has the channels last. None is Keras' default."""
    return (data_format or keras.config.image_data_format()) == "channels_last"


def spatial_axes_last(g: Builder, x: Tensor, data_format: str | None) -> Tensor:
    """`x` as (N, C, ...), the layout of ONNX's spatial operators, for either data format."""
    return g.channels_first(x) if is_channels_last(data_format) else g.keras_layout(x)


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
    if any(
        size is None and stride > 1 and span for size, stride, span in zip(sizes, strides, spans, strict=True)
    ):
        return {"auto_pad": "SAME_UPPER"}
    totals = []
    for size, stride, span in zip(sizes, strides, spans, strict=True):
        # With a stride or a kernel of 1 the total doesn't depend on the size.
        outputs = 1 if size is None else -(-size // stride)
        totals.append(span if size is None else max(0, (outputs - 1) * stride + span + 1 - size))
    before = [total // 2 for total in totals]
    return {"pads": [*before, *(total - half for total, half in zip(totals, before, strict=True))]}


def convolve(
    g: Builder,
    x: Tensor,
    kernel: Kernel,
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
    sizes = spatial_sizes(kernel)
    strides, dilations = per_axis(strides, len(sizes)), per_axis(dilations, len(sizes))
    value = g.op(
        "Conv",
        x.value,
        kernel.value if isinstance(kernel, Tensor) else g.weight(kernel, "kernel"),
        None if bias is None else g.weight(bias, "bias"),
        kernel_shape=sizes,
        strides=strides,
        dilations=dilations,
        group=groups,
        **padding_attributes(padding, x.onnx_shape[2:], sizes, strides, dilations),
    )
    return g.result(value, x)


# Kernels


def spatial_sizes(kernel: Kernel) -> list[int]:
    """The spatial sizes of a kernel in ONNX's layout."""
    sizes = [size for size in kernel.shape[2:] if size is not None]
    if len(sizes) < len(kernel.shape) - 2:
        raise Unsupported(f"a kernel of dynamic size (shape {kernel.shape})")
    return sizes


def onnx_kernel(g: Builder, kernel: Argument) -> Kernel:
    """(..., a, b) -> (b, a, ...): a convolution's inputs and outputs, or a transposed one's outputs and inputs."""
    if not isinstance(kernel, Tensor):
        return np.moveaxis(as_numpy(kernel), (-1, -2), (0, 1))
    last = kernel.rank - 1
    order = (last, last - 1, *range(last - 1))
    value = g.transpose(g.keras_layout(kernel).value, kernel.shape, order)
    return g.tensor(value, tuple(kernel.shape[axis] for axis in order))


def onnx_depthwise_kernel(g: Builder, kernel: Argument) -> Kernel:
    """(..., in, multiplier) -> (in * multiplier, 1, ...), with the multiplier running fastest as in Keras."""
    if not isinstance(kernel, Tensor):
        moved = np.moveaxis(as_numpy(kernel), (-2, -1), (0, 1))
        return moved.reshape(-1, 1, *moved.shape[2:])
    *sizes, channels, multiplier = kernel.shape
    if channels is None or multiplier is None:
        raise Unsupported(f"a kernel of dynamic size (shape {kernel.shape})")
    last = kernel.rank - 1
    value = g.transpose(g.keras_layout(kernel).value, kernel.shape, (last - 1, last, *range(last - 1)))
    shape = (channels * multiplier, 1, *sizes)
    return g.tensor(g.reshape(value, shape), shape)


# Layers and operations


def _channels(x: Tensor) -> int:
    channels = x.onnx_shape[1]
    if channels is None:
        raise Unsupported("a convolution over a dynamic number of channels")
    return channels


def _convolution(
    g: Builder, layer: Windowed, inputs: Tensor, kernel: Argument, bias: Array | None = None
) -> Tensor:
    x, weights = spatial_axes_last(g, inputs, layer.data_format), onnx_kernel(g, kernel)
    return convolve(
        g,
        x,
        weights,
        bias,
        groups=_channels(x) // (weights.shape[1] or 1),
        strides=layer.strides,
        dilations=layer.dilation_rate,
        padding=layer.padding,
    )


def _depthwise(
    g: Builder, layer: Windowed, inputs: Tensor, kernel: Argument, bias: Array | None = None
) -> Tensor:
    x = spatial_axes_last(g, inputs, layer.data_format)
    return convolve(
        g,
        x,
        onnx_depthwise_kernel(g, kernel),
        bias,
        groups=_channels(x),
        strides=layer.strides,
        dilations=layer.dilation_rate,
        padding=layer.padding,
    )


def _separable(
    g: Builder,
    layer: Windowed,
    inputs: Tensor,
    depthwise_kernel: Argument,
    pointwise_kernel: Argument,
    bias: Array | None = None,
) -> Tensor:
    pointwise, shape = onnx_kernel(g, pointwise_kernel), list(g.output_shapes[0])
    shape[-1 if is_channels_last(layer.data_format) else 1] = pointwise.shape[1]
    first = g.for_call(g.name, [tuple(shape)], g.output_dtypes)
    depthwise = _depthwise(first, layer, inputs, depthwise_kernel)
    return convolve(g, depthwise, pointwise, bias, groups=1, strides=1, dilations=1, padding="valid")


register_operation("conv")(_convolution)
register_operation("depthwise_conv")(_depthwise)
register_operation("separable_conv")(_separable)


@register_lowering(layers.Conv1D, layers.Conv2D, layers.Conv3D, any_layout=True)
def lower_conv(g: Builder, layer: keras.layers.Conv2D, x: Tensor) -> Tensor:
    """Convolution with strides, dilation, groups and any padding."""
    return activate(g, layer.activation, _convolution(g, layer, x, layer.kernel, layer.bias))


@register_lowering(layers.DepthwiseConv1D, layers.DepthwiseConv2D, any_layout=True)
def lower_depthwise_conv(g: Builder, layer: keras.layers.DepthwiseConv2D, x: Tensor) -> Tensor:
    """Depthwise convolution: a group for each input channel."""
    return activate(g, layer.activation, _depthwise(g, layer, x, layer.kernel, layer.bias))


@register_lowering(layers.SeparableConv1D, layers.SeparableConv2D, any_layout=True)
def lower_separable_conv(g: Builder, layer: keras.layers.SeparableConv2D, x: Tensor) -> Tensor:
    """Depthwise, then pointwise convolution."""
    result = _separable(g, layer, x, layer.depthwise_kernel, layer.pointwise_kernel, layer.bias)
    return activate(g, layer.activation, result)
