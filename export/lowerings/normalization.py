"""Normalizations, and the scaling of inputs.

What is affine with constants in inference (bn, Rescaling, Normalization, the gamma and beta of ln and gn)
becomes `Builder.affine`, which `export.passes.fold_affine` tries to move into a convolution or dense layer next to it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from export.builder import INTERNAL, Builder, Tensor
from export.errors import Unsupported
from export.lowerings.elementwise import reduction_axes
from export.lowerings.registry import register_lowering

layers = keras.layers


def _float64(variable: Any, default: float, size: int) -> np.ndarray:
    return np.full(size, default) if variable is None else np.asarray(variable, np.float64)


@register_lowering(layers.BatchNormalization, any_layout=True)
def lower_batch_normalization(g: Builder, layer: Any, x: Tensor, mask: None = None) -> Tensor:
    """(x - moving_mean) / sqrt(moving_variance + epsilon) * gamma + beta."""
    axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
    mean = np.asarray(layer.moving_mean, np.float64)
    variance = np.asarray(layer.moving_variance, np.float64)
    gamma = _float64(layer.gamma if layer.scale else None, 1.0, mean.size)
    beta = _float64(layer.beta if layer.center else None, 0.0, mean.size)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return g.affine(x, scale, beta - mean * scale, axis)


@register_lowering(layers.GroupNormalization, any_layout=True)
def lower_group_normalization(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Normalization over groups of channels; layer normalization per channel is groups=1."""
    axis = layer.axis % x.rank
    channels = x.shape[axis]
    if channels is None:
        raise Unsupported(f"its channel axis is open (shape {x.shape})")
    if axis == x.rank - 1:
        x, order = g.channels_first(x), None
    else:
        x = g.keras_layout(x)
        order = [0, axis, *(other for other in range(1, x.rank) if other != axis)]
    value = x.value if order is None else g.transpose(x.value, x.shape, order)
    groups = channels if layer.groups == -1 else layer.groups
    value = g.op("GroupNorm", value, groups=groups, epsilon=float(layer.epsilon), domain=INTERNAL)
    held = x.held_shape if order is None else tuple(x.shape[a] for a in order)
    gamma = _float64(layer.gamma if layer.scale else None, 1.0, channels)
    beta = _float64(layer.beta if layer.center else None, 0.0, channels)
    value = g.affine(Tensor(value, held), gamma, beta, 1).value
    if order is not None:
        value = g.transpose(value, [x.shape[a] for a in order], np.argsort(order).tolist())  # type: ignore[arg-type]
    return g.like(x, value)


def _weight_as_held(g: Builder, x: Tensor, axes: list[int], weight: Any, default: float) -> np.ndarray:
    """Gamma or beta, whose axes are the Keras axes `axes`, with its axes as `x` is held."""
    shape = [x.shape[axis] for axis in axes]
    if None in shape:
        raise Unsupported(f"a normalized axis is open (shape {x.shape}, axes {axes})")
    array = np.full(shape, default) if weight is None else np.asarray(weight).reshape(shape)
    return array.transpose(np.argsort([g.axis(x, axis) for axis in axes])).astype(np.float32)


@register_lowering(layers.LayerNormalization, any_layout=True)
def lower_layer_normalization(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over any axes: one LayerNormalization node."""
    rms = getattr(layer, "rms_scaling", False)
    if not rms:
        g.require(17, "LayerNormalization")
    keras_axes = reduction_axes(x, layer.axis)
    # All axes but the batch are last in either layout; fewer are so, if at all, as Keras has them.
    if len(keras_axes) < x.rank - 1:
        x = g.keras_layout(x)
    held, shape = sorted(g.axis(x, axis) for axis in keras_axes), x.held_shape
    order = [axis for axis in range(x.rank) if axis not in held] + held
    gamma = _weight_as_held(g, x, keras_axes, layer.gamma, 1.0)
    beta = None if layer.beta is None else _weight_as_held(g, x, keras_axes, layer.beta, 0.0)
    value = g.transpose(x.value, shape, order)
    first = x.rank - len(held)
    if rms:  # Keras divides x itself by its standard deviation here, and adds no beta
        axes = list(range(first, x.rank))
        centred = g.op("Sub", value, g.reduce("ReduceMean", value, axes))
        variance = g.reduce("ReduceMean", g.op("Mul", centred, centred), axes)
        value = g.op("Div", value, g.op("Sqrt", g.op("Add", variance, float(layer.epsilon))))
        value = g.op("Mul", value, gamma)
    else:
        value = g.op("LayerNormalization", value, gamma, beta, axis=first, epsilon=float(layer.epsilon))
    value = g.transpose(value, [shape[axis] for axis in order], np.argsort(order).tolist())  # type: ignore[arg-type]
    return g.like(x, value)


@register_lowering(layers.UnitNormalization, any_layout=True)
def lower_unit_normalization(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """The formula x / max(norm(x), 1e-12) over any axes."""
    norm = g.reduce("ReduceL2", x.value, sorted(g.axis(x, axis) for axis in reduction_axes(x, layer.axis)))
    return g.like(x, g.op("Div", x.value, g.op("Max", norm, 1e-12)))


if hasattr(layers, "RMSNormalization"):  # newer than the lowest Keras we take

    @register_lowering(layers.RMSNormalization, any_layout=True)
    def lower_rms_normalization(g: Builder, layer: Any, x: Tensor) -> Tensor:
        """The formula x / sqrt(mean(x^2) + epsilon) * scale over any axes."""
        axes = reduction_axes(x, layer.axis)
        held = sorted(g.axis(x, axis) for axis in axes)
        mean = g.reduce("ReduceMean", g.op("Pow", x.value, 2.0), held)
        root = g.op("Sqrt", g.op("Add", mean, float(layer.epsilon)))
        value = g.op("Div", x.value, root)
        scale = _weight_as_held(g, x, axes, layer.scale, 1.0)
        along = [int(size or 1) if axis in held else 1 for axis, size in enumerate(x.held_shape)]
        return g.like(x, g.op("Mul", value, scale.reshape(along)))


@register_lowering(layers.Rescaling, any_layout=True)
def lower_rescaling(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """The formula x * scale + offset; a number, or one for each place of the last axis."""
    scale, offset = (np.asarray(value, np.float64) for value in (layer.scale, layer.offset))
    if max(scale.ndim, offset.ndim) > 1:
        raise Unsupported("Rescaling by an array of more than one axis")
    axis = -1 if keras.config.image_data_format() == "channels_last" or scale.ndim == offset.ndim == 0 else -3
    return g.affine(x, scale, offset, axis)


@register_lowering(layers.Normalization, any_layout=True)
def lower_normalization(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """(x - mean) / sqrt(variance), or its inverse, along one axis."""
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis or ())
    if len(axes) > 1:
        raise Unsupported("Normalization over several axes")
    axis = axes[0] if axes else -1
    mean = np.asarray(layer.mean, np.float64).ravel()
    std = np.maximum(np.sqrt(np.asarray(layer.variance, np.float64).ravel()), keras.config.epsilon())
    if layer.invert:
        return g.affine(x, std, mean, axis)
    return g.affine(x, 1 / std, -mean / std, axis)
