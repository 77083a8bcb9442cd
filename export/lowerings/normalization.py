"""Normalization: batch, group, layer, root-mean-square and unit normalization, as layers and as operations.

What is affine in inference (batch normalization, and the gamma and beta of group normalization) becomes
`Builder.affine`, which `fold_affine` tries to fold into a neighbouring layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import onnx_ir as ir
from keras import ops

from export.builder import Array, Builder, Tensor, is_float
from export.errors import Unsupported
from export.lowerings.composition import Symbol, composed
from export.lowerings.operands import Argument, as_float, normalize_axes
from export.lowerings.registry import register_lowering, register_operation
from export.passes.internal import group_norm

layers = keras.layers


def _refuse_integers(x: Tensor) -> None:
    if not is_float(x.dtype):
        raise Unsupported(
            f"{x.dtype} inputs, to which Keras truncates what it computes; cast them to float32"
        )


# Batch normalization


def batch_normalize(
    g: Builder,
    x: Tensor,
    axis: int,
    mean: Array,
    variance: Array,
    gamma: Array | None,
    beta: Array | None,
    epsilon: float,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta with constants along one axis."""
    scale = np.asarray(1.0 if gamma is None else gamma, np.float64)
    scale = scale / np.sqrt(np.asarray(variance, np.float64) + epsilon)
    shift = np.asarray(0.0 if beta is None else beta, np.float64)
    return g.affine(x, scale, shift - np.asarray(mean, np.float64) * scale, axis)


@register_lowering(layers.BatchNormalization, any_layout=True)
def lower_batch_normalization(
    g: Builder, layer: keras.layers.BatchNormalization, x: Tensor, mask: None = None
) -> Tensor:
    """BatchNormalization with its moving statistics."""
    axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
    gamma, beta = layer.gamma if layer.scale else None, layer.beta if layer.center else None
    x = as_float(g, x)
    return batch_normalize(g, x, axis, layer.moving_mean, layer.moving_variance, gamma, beta, layer.epsilon)


@register_operation("batch_normalization")
def lower_batch_norm(
    g: Builder,
    operation: keras.Operation,
    x: Tensor,
    mean: Argument,
    variance: Argument,
    offset: Argument | None = None,
    scale: Argument | None = None,
) -> Tensor:
    """keras.ops.batch_normalization with constants."""
    mean, variance = _constant(mean, "mean"), _constant(variance, "variance")
    offset, scale = _constant_or_none(offset, "offset"), _constant_or_none(scale, "scale")
    return batch_normalize(g, x, operation.axis, mean, variance, scale, offset, operation.epsilon)


def _constant(value: Argument, name: str) -> Array:
    if isinstance(value, Tensor):
        raise Unsupported(f"a normalization with a computed {name}")
    return value


def _constant_or_none(value: Argument | None, name: str) -> Array | None:
    return None if value is None else _constant(value, name)


# Group normalization


@register_lowering(layers.GroupNormalization, any_layout=True)
def lower_group_normalization(g: Builder, layer: keras.layers.GroupNormalization, x: Tensor) -> Tensor:
    """Statistics of each group of channels of an image; groups=1 normalizes the whole image."""
    _refuse_integers(x)
    axis = layer.axis % x.rank
    channels = x.shape[axis]
    if channels is None:
        raise Unsupported(f"an unknown number of channels (shape {x.shape}, axis {axis})")
    order = None
    if axis == x.rank - 1:
        x = g.channels_first(x)
    else:
        x = g.keras_layout(x)
        order = [0, axis, *(other for other in range(1, x.rank) if other != axis)]
    value = x.value if order is None else g.transpose(x.value, x.shape, order)
    shape = x.onnx_shape if order is None else tuple(x.shape[index] for index in order)
    groups = channels if layer.groups == -1 else layer.groups
    value = group_norm(g.graph, value, groups, layer.epsilon, name=g.unique_name("GroupNorm"))
    normalized = g.tensor(value, shape)
    gamma, beta = layer.gamma if layer.scale else 1.0, layer.beta if layer.center else 0.0
    value = g.affine(normalized, gamma, beta, 1).value
    if order is not None:
        value = g.transpose(value, shape, [order.index(index) for index in range(x.rank)])
    return g.like(x, value)


# Layer normalization


def layer_normalize(
    g: Builder,
    x: Tensor,
    axes: Sequence[int],
    gamma: Array | None,
    beta: Array | None,
    epsilon: float,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over any axes: one LayerNormalization node."""
    g.require(17, "LayerNormalization")
    _refuse_integers(x)
    x, order = _normalized_axes_last(g, x, axes)
    scale = _in_onnx_layout(g, x, axes, gamma, 1.0)
    shift = None if beta is None else _in_onnx_layout(g, x, axes, beta, 0.0)
    value = g.transpose(x.value, x.onnx_shape, order)
    value = g.op("LayerNormalization", value, scale, shift, axis=x.rank - len(axes), epsilon=float(epsilon))
    return g.like(x, _undo_order(g, x, value, order))


def _normalized_axes_last(g: Builder, x: Tensor, axes: Sequence[int]) -> tuple[Tensor, list[int]]:
    """`x` in the layout that moves less, and the order of its ONNX axes with the normalized ones last."""
    # All axes but the batch are last in either layout. Fewer axes can only be last in Keras' layout.
    if len(axes) < x.rank - 1:
        x = g.keras_layout(x)
    last = sorted(g.axis(x, axis) for axis in axes)
    return x, [axis for axis in range(x.rank) if axis not in last] + last


def _undo_order(g: Builder, x: Tensor, value: ir.Value, order: Sequence[int]) -> ir.Value:
    shape = tuple(x.onnx_shape[axis] for axis in order)
    return g.transpose(value, shape, [order.index(axis) for axis in range(x.rank)])


def _in_onnx_layout(
    g: Builder, x: Tensor, axes: Sequence[int], weight: Array | None, default: float
) -> np.ndarray:
    """Gamma or beta, which has the Keras axes `axes`, with its axes in the order of the ONNX value."""
    shape = tuple(x.shape[axis] for axis in axes)
    sizes = [size for size in shape if size is not None]
    if len(sizes) < len(shape):
        raise Unsupported(f"a normalization over a dynamic dimension (shape {x.shape}, axes {list(axes)})")
    array = np.full(sizes, default) if weight is None else np.asarray(weight).reshape(sizes)
    return array.transpose(np.argsort([g.axis(x, axis) for axis in axes])).astype(np.float32)


@register_lowering(layers.LayerNormalization, any_layout=True)
def lower_layer_normalization(g: Builder, layer: keras.layers.LayerNormalization, x: Tensor) -> Tensor:
    """LayerNormalization over any axes."""
    axes = normalize_axes(layer.axis, x.rank)
    if getattr(layer, "rms_scaling", False):
        return _divide_by_standard_deviation(g, x, axes, layer.gamma, layer.epsilon)
    return layer_normalize(g, x, axes, layer.gamma, layer.beta, layer.epsilon)


def _divide_by_standard_deviation(
    g: Builder, x: Tensor, axes: Sequence[int], gamma: Array | None, epsilon: float
) -> Tensor:
    """X / sqrt(variance + epsilon) * gamma, which Keras computes for `rms_scaling=True`."""
    x, order = _normalized_axes_last(g, x, axes)
    value = g.transpose(x.value, x.onnx_shape, order)
    last = list(range(x.rank - len(axes), x.rank))
    centered = g.op("Sub", value, g.reduce("ReduceMean", value, last))
    variance = g.reduce("ReduceMean", g.op("Mul", centered, centered), last)
    value = g.op("Div", value, g.op("Sqrt", g.op("Add", variance, float(epsilon))))
    value = g.op("Mul", value, _in_onnx_layout(g, x, axes, gamma, 1.0))
    return g.like(x, _undo_order(g, x, value, order))


@register_operation("layer_normalization", optional=True)
def lower_layer_norm(
    g: Builder,
    operation: keras.Operation,
    x: Tensor,
    gamma: Argument | None = None,
    beta: Argument | None = None,
) -> Tensor:
    """keras.ops.layer_normalization with constants."""
    axes = normalize_axes(operation.axis, x.rank)
    gamma, beta = _constant_or_none(gamma, "gamma"), _constant_or_none(beta, "beta")
    if getattr(operation, "rms_scaling", False):
        return _divide_by_standard_deviation(g, x, axes, gamma, _epsilon(operation))
    return layer_normalize(g, x, axes, gamma, beta, _epsilon(operation))


def _epsilon(operation: keras.Operation) -> float:
    return float(keras.config.epsilon() if operation.epsilon is None else operation.epsilon)


# Root-mean-square normalization


def rms_normalize(g: Builder, x: Tensor, axes: Sequence[int], scale: Array | None, epsilon: float) -> Tensor:
    """X / sqrt(mean(x^2) + epsilon) * scale over any axes. Zhang and Sennrich 2019, arXiv:1910.07467."""
    onnx_axes = sorted(g.axis(x, axis) for axis in axes)
    mean = g.reduce("ReduceMean", g.op("Mul", x.value, x.value), onnx_axes)
    value = g.op("Div", x.value, g.op("Sqrt", g.op("Add", mean, float(epsilon))))
    if scale is not None:
        array = _in_onnx_layout(g, x, axes, scale, 1.0)
        sizes = iter(array.shape)
        value = g.op(
            "Mul", value, array.reshape([next(sizes) if i in onnx_axes else 1 for i in range(x.rank)])
        )
    return g.like(x, value)


if hasattr(layers, "RMSNormalization"):  # newer than the lowest Keras that is supported

    @register_lowering(layers.RMSNormalization, any_layout=True)
    def lower_rms_normalization(g: Builder, layer: keras.layers.RMSNormalization, x: Tensor) -> Tensor:
        """RMSNormalization over any axes."""
        return rms_normalize(g, x, normalize_axes(layer.axis, x.rank), layer.scale, layer.epsilon)


@register_operation("rms_normalization", optional=True)
def lower_rms_norm(
    g: Builder, operation: keras.Operation, x: Tensor, scale: Argument | None = None
) -> Tensor:
    """keras.ops.rms_normalization with a constant scale."""
    axes = normalize_axes(operation.axis, x.rank)
    return rms_normalize(g, x, axes, _constant_or_none(scale, "scale"), _epsilon(operation))


# Unit normalization


def unit_normalize(g: Builder, x: Tensor, axes: Sequence[int], order: int, epsilon: float) -> Tensor:
    """X / max(norm(x), epsilon) over any axes, with the norm of order 1 or 2."""
    op_type = "ReduceL1" if order == 1 else "ReduceL2"
    norm = g.reduce(op_type, x.value, sorted(g.axis(x, axis) for axis in axes))
    return g.like(x, g.op("Div", x.value, g.op("Max", norm, epsilon)))


@register_lowering(layers.UnitNormalization, any_layout=True)
def lower_unit_normalization(g: Builder, layer: keras.layers.UnitNormalization, x: Tensor) -> Tensor:
    """UnitNormalization over any axes."""
    return unit_normalize(g, x, normalize_axes(layer.axis, x.rank), 2, 1e-12)


@register_operation("normalize")
def lower_normalize(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """keras.ops.normalize over any axes."""
    if operation.order > 2:
        return composed(_divide_by_norm)(g, operation, x)[0]
    axes = normalize_axes(operation.axis, x.rank)
    return unit_normalize(g, x, axes, operation.order, _epsilon(operation))


def _divide_by_norm(operation: keras.Operation, x: Symbol) -> Symbol:
    norm = ops.norm(x, ord=operation.order, axis=operation.axis, keepdims=True)
    return x / ops.maximum(norm, _epsilon(operation))
