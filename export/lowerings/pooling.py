"""Pooling: maxima and averages, over windows and over whole images."""

from __future__ import annotations

import keras

from export.builder import Builder, Tensor
from export.lowerings.convolution import padding_attributes, per_axis, spatial_axes_last
from export.lowerings.registry import LoweringFunction, register_lowering, register_operation

layers = keras.layers


def _pooling(op_type: str) -> LoweringFunction:
    """Pooling over windows, for layers and operations alike. Averages don't count the padding."""

    def lower(g: Builder, layer: keras.layers.MaxPooling2D | keras.Operation, inputs: Tensor) -> Tensor:
        x = spatial_axes_last(g, inputs, layer.data_format)
        rank = x.rank - 2
        sizes, strides = per_axis(layer.pool_size, rank), per_axis(layer.strides or layer.pool_size, rank)
        padding = padding_attributes(layer.padding, x.onnx_shape[2:], sizes, strides, [1] * rank)
        value = g.op(op_type, x.value, kernel_shape=sizes, strides=strides, **padding)
        return g.result(value, x)

    return lower


_max_pooling, _average_pooling = _pooling("MaxPool"), _pooling("AveragePool")
register_lowering(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D, any_layout=True)(
    _max_pooling
)
register_lowering(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D, any_layout=True)(
    _average_pooling
)
register_operation("max_pool")(_max_pooling)
register_operation("average_pool")(_average_pooling)


def _global_pool(g: Builder, layer: keras.layers.Layer, x: Tensor, op_type: str) -> Tensor:
    x = spatial_axes_last(g, x, layer.data_format)
    value = g.op(op_type, x.value)
    if layer.keepdims:
        return g.result(value, x)
    batch, channels, *rest = x.onnx_shape
    pooled = g.tensor(value, (batch, channels, *[1] * len(rest)))
    return g.result(g.op("Flatten", pooled.value))


@register_lowering(
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
    any_layout=True,
)
def lower_global_average_pooling(g: Builder, layer: keras.layers.Layer, x: Tensor) -> Tensor:
    """Mean of each channel."""
    return _global_pool(g, layer, x, "GlobalAveragePool")


@register_lowering(
    layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D, any_layout=True
)
def lower_global_max_pooling(g: Builder, layer: keras.layers.Layer, x: Tensor) -> Tensor:
    """Maximum of each channel."""
    return _global_pool(g, layer, x, "GlobalMaxPool")
