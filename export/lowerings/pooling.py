"""Pooling: max and average, local and global."""

from __future__ import annotations

from typing import Any

import keras

from export.builder import Builder, Tensor
from export.lowerings.convolution import padding_attributes, per_axis, spatial
from export.lowerings.registry import register_lowering

layers = keras.layers


def pool(g: Builder, layer: Any, x: Tensor, op_type: str) -> Tensor:
    """Windows of the spatial axes of `x`, held as (N, C, ...); size, strides and padding are the layer's."""
    rank = x.rank - 2
    sizes, strides = per_axis(layer.pool_size, rank), per_axis(layer.strides or layer.pool_size, rank)
    padding = padding_attributes(layer.padding, x.held_shape[2:], sizes, strides, [1] * rank)
    return g.result(x, g.op(op_type, x.value, kernel_shape=sizes, strides=strides, **padding))


@register_lowering(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D, any_layout=True)
def lower_max_pooling(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Maximum over windows."""
    return pool(g, layer, spatial(g, layer, x), "MaxPool")


@register_lowering(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D, any_layout=True)
def lower_average_pooling(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Mean over windows; places outside the image are not counted."""
    return pool(g, layer, spatial(g, layer, x), "AveragePool")


def _global_pool(g: Builder, layer: Any, x: Tensor, op_type: str) -> Tensor:
    x = spatial(g, layer, x)
    batch, channels, *rest = x.held_shape
    pooled = Tensor(g.op(op_type, x.value), (batch, channels, *[1] * len(rest)))
    if layer.keepdims:
        return g.result(x, pooled.value)
    return Tensor(g.op("Flatten", pooled.value), g.output_shapes[0])


@register_lowering(
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
    any_layout=True,
)
def lower_global_average_pooling(g: Builder, layer: Any, x: Tensor, mask: None = None) -> Tensor:
    """Mean over all places of a channel."""
    return _global_pool(g, layer, x, "GlobalAveragePool")


@register_lowering(
    layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D, any_layout=True
)
def lower_global_max_pooling(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Maximum over all places of a channel."""
    return _global_pool(g, layer, x, "GlobalMaxPool")
