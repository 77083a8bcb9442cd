"""Faster `call` methods for stock Keras layers, computed by `kerasnorm.speed.ops`.

A fast call runs if everything is known that makes it equal to the stock one. Otherwise the layer runs its own code.
`stock_reason` checks the configuration of the layer, `_is_plain` the tensor that it receives.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasnorm.speed import ops
from kerasnorm.speed.calls import is_replaced

# Outside of this range, one random byte per element is too coarse for dropout.
_MIN_RATE, _MAX_RATE = 1 / 32, 31 / 32


def make_fast(layer: keras.layers.Layer) -> None:
    """Replace the `call` of a layer that has a fast one. A `call` that someone else has replaced stays."""
    if type(layer) in _FAST_CALLS and not is_replaced(layer):
        layer.call = types.MethodType(_FAST_CALLS[type(layer)], layer)


def stock_reason(layer: keras.layers.Layer) -> str | None:
    """Why a layer runs its stock code in every call, from its configuration; None if it can be fast."""
    if type(layer) not in _FAST_CALLS:
        return "no faster code for this class"
    if is_replaced(layer):
        return "its call method has been replaced"
    if getattr(layer, "_remat_mode", None):
        return "rematerialized"
    if isinstance(layer, keras.layers.BatchNormalization):
        return _batch_normalization_reason(layer)
    if layer.compute_dtype not in ("float32", "float64"):
        return f"computes in {layer.compute_dtype}"
    if isinstance(layer, keras.layers.GroupNormalization):
        return _rank_reason(layer) or _axis_reason(layer)
    return _dropout_reason(layer)


def _batch_normalization_reason(layer: keras.layers.BatchNormalization) -> str | None:
    if layer.synchronized:
        return "synchronized"
    if getattr(layer, "renorm", False):
        return "renorm"
    if layer.compute_dtype != "float32" or layer.variable_dtype != "float32":
        return f"computes in {layer.compute_dtype} with weights in {layer.variable_dtype}, not in float32"
    return _axis_reason(layer)


def _dropout_reason(layer: keras.layers.Dropout) -> str | None:
    if not _MIN_RATE <= layer.rate <= _MAX_RATE:
        return f"rate {layer.rate:g} is not between 1/32 and 31/32"
    return "has a noise_shape" if getattr(layer, "noise_shape", None) is not None else None


def _axis_reason(layer: keras.layers.Layer) -> str | None:
    rank = _rank(layer)
    is_last = layer.axis == -1 or (rank is not None and layer.axis == rank - 1)
    return None if is_last else f"axis {layer.axis} is not the last"


def _rank_reason(layer: keras.layers.GroupNormalization) -> str | None:
    rank = _rank(layer)
    return "normalizes inputs without a pixel axis" if rank is not None and rank < 3 else None


def _rank(layer: keras.layers.Layer) -> int | None:
    """The rank of a normalization's inputs; None before it is built."""
    return layer.input_spec.ndim if layer.built and layer.input_spec is not None else None


def _is_plain(inputs: Any, dtypes: Sequence[str]) -> bool:
    """Whether inputs are a dense tensor in one of the dtypes, not empty and without a mask."""
    return (
        isinstance(inputs, tf.Tensor)
        and inputs.dtype.name in dtypes
        and (inputs.shape.rank or 0) >= 2
        and inputs.shape[-1] is not None
        and 0 not in inputs.shape
        and getattr(inputs, "_keras_mask", None) is None
    )


def normalize_batch(
    layer: keras.layers.BatchNormalization,
    parts: Sequence[tf.Tensor],
    counted: Sequence[tf.Tensor] | None = None,
) -> list[tf.Tensor]:
    """Normalize a batch that is split into parts by the statistics of the whole, and update the moving ones.

    Args:
        layer: a trainable layer without a `stock_reason`.
        parts: (batch_i, ..., channels) float32 each, none of them empty.
        counted: 1 for each part, 0 for one that is padding, see `kerasnorm.speed.ops.batch_normalization`.

    Returns:
        The normalized parts.
    """
    channels = parts[0].shape[-1]
    images = [tf.reshape(part, (-1, 1, 1, channels)) if len(part.shape) != 4 else part for part in parts]
    gamma = tf.ones(channels) if layer.gamma is None else tf.convert_to_tensor(layer.gamma)
    beta = tf.zeros(channels) if layer.beta is None else tf.convert_to_tensor(layer.beta)
    outputs, mean, variance = ops.batch_normalization(images, gamma, beta, layer.epsilon, counted)
    momentum = layer.momentum
    layer.moving_mean.assign(layer.moving_mean * momentum + mean * (1 - momentum))
    layer.moving_variance.assign(layer.moving_variance * momentum + variance * (1 - momentum))
    return [tf.ensure_shape(tf.reshape(y, tf.shape(x)), x.shape) for x, y in zip(parts, outputs, strict=True)]


def _call_batch_normalization(
    self: keras.layers.BatchNormalization, inputs: Any, training: Any = None, mask: Any = None
) -> Any:
    applies = (
        training is True
        and self.trainable
        and mask is None
        and _is_plain(inputs, ["float32"])
        and stock_reason(self) is None
    )
    if not applies:
        return keras.layers.BatchNormalization.call(self, inputs, training=training, mask=mask)
    return normalize_batch(self, [inputs])[0]


def _call_group_normalization(self: keras.layers.GroupNormalization, inputs: Any) -> Any:
    applies = (
        _is_plain(inputs, [self.compute_dtype]) and len(inputs.shape) >= 3 and stock_reason(self) is None
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
        and _is_plain(inputs, ["float32", "float64"])
        and None not in inputs.shape[1:]
        and stock_reason(self) is None
    )
    if not applies:
        return keras.layers.Dropout.call(self, inputs, training=training)
    return ops.dropout(inputs, self.rate, self.seed_generator.next())


# The `call` for each class. A subclass keeps its own: it may compute something else.
_FAST_CALLS: dict[type, Callable[..., Any]] = {
    keras.layers.BatchNormalization: _call_batch_normalization,
    keras.layers.GroupNormalization: _call_group_normalization,
    keras.layers.Dropout: _call_dropout,
}
