"""Pooling: maxima and averages, over windows and over whole images."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Operand, Tensor
from export.lowerings.convolution import padding_attributes, per_axis, spatial_axes_last
from export.lowerings.operands import as_int64
from export.lowerings.registry import LoweringFunction, register_lowering, register_operation
from export.lowerings.sizes import Size, size_of, size_vector

layers = keras.layers


def _pooling(op_type: str) -> LoweringFunction:
    """Pooling over windows, for layers and operations alike. Averages don't count the padding."""

    def lower(g: Builder, layer: keras.layers.MaxPooling2D | keras.Operation, inputs: Tensor) -> Tensor:
        x = spatial_axes_last(g, inputs, layer.data_format)
        rank = x.rank - 2
        sizes, strides = per_axis(layer.pool_size, rank), per_axis(layer.strides or layer.pool_size, rank)
        padding = padding_attributes(layer.padding, x.onnx_shape[2:], sizes, strides, [1] * rank)
        if "auto_pad" in padding and any(size < stride for size, stride in zip(sizes, strides, strict=True)):
            return g.result(_pool_with_gaps(g, op_type, x, sizes, strides), x)
        return g.result(g.op(op_type, x.value, kernel_shape=sizes, strides=strides, **padding), x)

    return lower


def _pool_with_gaps(
    g: Builder, op_type: str, x: Tensor, sizes: Sequence[int], strides: Sequence[int]
) -> ir.Value:
    """A pool with padding 'same' over a dynamic size, by windows smaller than the strides.

    onnxruntime computes a negative padding for it, and refuses that. So the padding is computed in the graph.
    """
    first = 1 if x.channels_first else 2
    current = [size_of(g, x, first + axis) for axis in range(len(sizes))]
    before: list[Size] = []
    after: list[Size] = []
    for length, size, stride in zip(current, sizes, strides, strict=True):
        # In the last stride, the image has between 1 and `stride` pixels.
        value = size_vector(g, [length])
        last = g.op("Add", g.op("Mod", g.op("Sub", value, as_int64(1)), as_int64(stride)), as_int64(1))
        total = g.op("Max", g.op("Sub", as_int64(size), last), as_int64(0))
        before.append(g.op("Div", total, as_int64(2)))
        after.append(g.op("Sub", total, before[-1]))
    pads = size_vector(g, [0, 0, *before, 0, 0, *after])

    def pool(value: Operand) -> ir.Value:
        return g.op(op_type, value, kernel_shape=sizes, strides=strides)

    if op_type == "MaxPool":
        return pool(g.op("Pad", x.value, pads, np.float32(-np.inf)))
    ones = g.op("ConstantOfShape", size_vector(g, [1, 1, *current]), value=ir.tensor(np.ones(1, np.float32)))
    return g.op("Div", pool(g.op("Pad", x.value, pads)), pool(g.op("Pad", ones, pads)))


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
