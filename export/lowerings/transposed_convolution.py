"""Transposed convolutions of one to three dimensions: the layers and the operation."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from export.builder import Array, Builder, Tensor
from export.lowerings.activation import activate
from export.lowerings.convolution import Kernel, onnx_kernel, per_axis, spatial_axes_last, spatial_sizes
from export.lowerings.operands import Argument
from export.lowerings.registry import register_lowering, register_operation

layers = keras.layers


def transposed_pads(
    padding: str, kernel: int, stride: int, dilation: int, output_padding: int | None
) -> tuple[int, int, int]:
    """What Keras cuts off and adds along one axis.

    ONNX starts from (size - 1) * stride + span outputs, where the kernel spans `span` of them. TensorFlow defines the
    operation as the gradient of a convolution, so 'same' cuts off what that convolution would pad.

    Args:
        padding: 'valid' or 'same'.
        kernel: size of the kernel.
        stride: the stride.
        dilation: the dilation.
        output_padding: Keras' output_padding; None for size * stride outputs, or, with 'valid', enough of them for
            the kernel.

    Returns:
        How many outputs are cut off before and after, and how many zeros are added after.
    """
    span = (kernel - 1) * dilation + 1
    if padding == "valid":
        return 0, 0, max(stride - span, 0) if output_padding is None else output_padding
    excess = span - stride if output_padding is None else span - span % 2 - output_padding
    before = max(excess, 0) // 2
    return before, max(excess, 0) - before, max(-excess, 0)


def convolve_transposed(
    g: Builder,
    x: Tensor,
    kernel: Kernel,
    bias: Array | None,
    *,
    strides: int | Sequence[int],
    dilations: int | Sequence[int],
    padding: str,
    output_padding: int | Sequence[int] | None,
) -> Tensor:
    """A ConvTranspose node.

    Args:
        g: the builder.
        x: (N, C, ...), see `spatial_axes_last`.
        kernel: (in, out, ...).
        bias: (out,), or None.
        strides: one number, or one for each spatial axis.
        dilations: likewise.
        padding: Keras' 'valid' or 'same'.
        output_padding: one number, or one for each spatial axis; None for Keras' default.
    """
    sizes = spatial_sizes(kernel)
    rank = len(sizes)
    strides, dilations = per_axis(strides, rank), per_axis(dilations, rank)
    extras = [None] * rank if output_padding is None else per_axis(output_padding, rank)
    before, after, added = zip(
        *(transposed_pads(padding, *one) for one in zip(sizes, strides, dilations, extras, strict=True)),
        strict=True,
    )
    value = g.op(
        "ConvTranspose",
        x.value,
        kernel.value if isinstance(kernel, Tensor) else g.weight(kernel, "kernel"),
        None if bias is None else g.weight(bias, "bias"),
        kernel_shape=sizes,
        strides=strides,
        dilations=dilations,
        pads=[*before, *after],
        output_padding=list(added) if any(added) else None,
    )
    return g.result(value, x)


def _transposed(
    g: Builder,
    layer: keras.layers.Conv2DTranspose,
    inputs: Tensor,
    kernel: Argument,
    bias: Array | None = None,
) -> Tensor:
    return convolve_transposed(
        g,
        spatial_axes_last(g, inputs, layer.data_format),
        onnx_kernel(g, kernel),
        bias,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        padding=layer.padding,
        output_padding=layer.output_padding,
    )


register_operation("conv_transpose")(_transposed)


@register_lowering(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose, any_layout=True)
def lower_conv_transpose(g: Builder, layer: keras.layers.Conv2DTranspose, x: Tensor) -> Tensor:
    """Transposed convolution with strides, dilation and any padding."""
    return activate(g, layer.activation, _transposed(g, layer, x, layer.kernel, layer.bias))
