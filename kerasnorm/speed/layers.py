"""Faster `call` methods for stock Keras layers, computed by `kerasnorm.speed.ops`.

Each one checks whether the faster computation applies and runs the layer's own `call` otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerasnorm.speed import ops

# Below this rate, one random byte per element is too coarse for dropout.
_MIN_RATE = 1 / 32


def can_fuse(layer: keras.layers.BatchNormalization, rank: int) -> bool:
    """Whether TensorFlow's fused operation covers the layer's configuration, for inputs of this rank."""
    return (
        layer.axis in (-1, rank - 1)
        and not layer.synchronized
        and not getattr(layer, "renorm", False)
        and layer.compute_dtype == layer.variable_dtype == "float32"
    )


def is_fused(layer: keras.layers.BatchNormalization, inputs: tf.Tensor, training: bool | None) -> bool:
    """Whether a call of the layer uses the fused operation: in training, in float32 and without a mask."""
    return (
        training is True
        and layer.trainable
        and inputs.dtype == "float32"
        and can_fuse(layer, len(inputs.shape))
        and getattr(inputs, "_keras_mask", None) is None
    )


def normalize_batch(layer: keras.layers.BatchNormalization, parts: list[tf.Tensor]) -> list[tf.Tensor]:
    """Normalize a batch that is split into parts by the statistics of the whole, and update the moving ones.

    Args:
        layer: a layer whose call `is_fused`.
        parts: (batch_i, ..., channels) float32 each, none of them empty.

    Returns:
        The normalized parts.
    """
    channels = parts[0].shape[-1]
    images = [tf.reshape(part, (-1, 1, 1, channels)) if len(part.shape) != 4 else part for part in parts]
    gamma = tf.ones(channels) if layer.gamma is None else tf.convert_to_tensor(layer.gamma)
    beta = tf.zeros(channels) if layer.beta is None else tf.convert_to_tensor(layer.beta)
    outputs, mean, variance = ops.batch_normalization(images, gamma, beta, layer.epsilon)
    momentum = layer.momentum
    layer.moving_mean.assign(layer.moving_mean * momentum + mean * (1 - momentum))
    layer.moving_variance.assign(layer.moving_variance * momentum + variance * (1 - momentum))
    return [tf.ensure_shape(tf.reshape(y, tf.shape(x)), x.shape) for x, y in zip(parts, outputs, strict=True)]


def _call_batch_normalization(
    self: keras.layers.BatchNormalization, inputs: Any, training: Any = None, mask: Any = None
) -> Any:
    if mask is not None or not is_fused(self, inputs, training):
        return keras.layers.BatchNormalization.call(self, inputs, training=training, mask=mask)
    return normalize_batch(self, [inputs])[0]


def _call_group_normalization(self: keras.layers.GroupNormalization, inputs: Any) -> Any:
    rank = len(inputs.shape)
    applies = (
        not isinstance(inputs, keras.KerasTensor)
        and rank >= 3
        and self.axis in (-1, rank - 1)
        and inputs.dtype in ("float32", "float64")
        and inputs.dtype == self.compute_dtype
    )
    if not applies:
        return keras.layers.GroupNormalization.call(self, inputs)
    channels, dtype = inputs.shape[-1], inputs.dtype
    gamma = tf.ones(channels, dtype) if self.gamma is None else tf.cast(self.gamma, dtype)
    beta = tf.zeros(channels, dtype) if self.beta is None else tf.cast(self.beta, dtype)
    groups = channels if self.groups == -1 else self.groups
    return ops.group_normalization(inputs, gamma, beta, groups, self.epsilon)


def _call_dropout(self: keras.layers.Dropout, inputs: Any, training: Any = False) -> Any:
    applies = (
        training is True
        and not isinstance(inputs, keras.KerasTensor)
        and getattr(self, "noise_shape", None) is None
        and inputs.dtype in ("float32", "float64")
        and None not in inputs.shape[1:]
        and math.prod(inputs.shape[1:]) > 0
        and self.rate >= _MIN_RATE
    )
    if not applies:
        return keras.layers.Dropout.call(self, inputs, training=training)
    return ops.dropout(inputs, self.rate, self.seed_generator.next())


# The `call` for each class. A subclass keeps its own: it may compute something else.
FAST_CALLS: dict[type, Callable[..., Any]] = {
    keras.layers.BatchNormalization: _call_batch_normalization,
    keras.layers.GroupNormalization: _call_group_normalization,
    keras.layers.Dropout: _call_dropout,
}
