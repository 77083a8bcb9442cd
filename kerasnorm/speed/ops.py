"""Batch normalization, group normalization and dropout in few passes over the activations, for TensorFlow on CPU.

In a training step of a small CNN, stock normalization and dropout take longer than the convolutions: Keras composes
each of them from about a dozen elementwise operations, and each operation is a pass over the activations. The
functions here compute the same in fewer and cheaper passes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# Broadcasting along a last axis of 16 channels is slow. Along rows of several pixels, of up to this size, it is fast.
_ROW = 512


def batch_normalization(
    parts: list[tf.Tensor], gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Batch Normalization (Ioffe and Szegedy 2015, arXiv:1502.03167) of a batch that is split into parts.

    The statistics are those of the whole batch. The formula of Chan et al. (1979) combines the statistics of the
    parts. With n_i rows, mean_i and variance_i in part i, and n = sum n_i,

        mean = sum n_i mean_i / n,  variance = sum n_i (variance_i + (mean_i - mean)^2) / n

    With x' = (x - mean) r and r = 1 / sqrt(variance + epsilon), the gradient of each part is

        dx = gamma r dy - gamma r (sum(dy) + x' sum(dy x')) / n,  with sums over all parts.

    Every pass over the data is one of TensorFlow's fused operations.

    Args:
        parts: (batch_i, height, width, channels) float32 each, none of them empty.
        gamma: (channels,).
        beta: (channels,).
        epsilon: small number added to the variance.

    Returns:
        The normalized parts, the mean (channels,) and the biased variance (channels,). Second derivatives raise a
        LookupError if there is more than one part.
    """
    none = tf.zeros(0)
    train = functools.partial(tf.raw_ops.FusedBatchNormV3, mean=none, variance=none, epsilon=epsilon)
    rows = [tf.cast(tf.reduce_prod(tf.shape(part)[:-1]), tf.float32) for part in parts]
    biased = [(n - 1) / n for n in rows]  # the fused operation returns the unbiased variance
    if len(parts) == 1:
        y, mean, variance, *_ = train(x=parts[0], scale=gamma, offset=beta)
        return [y], mean, variance * biased[0]

    total = tf.add_n(rows)
    shares = [n / total for n in rows]

    def join(values: list[tf.Tensor]) -> tf.Tensor:
        return tf.add_n([value * share for value, share in zip(values, shares, strict=True)])

    @tf.custom_gradient
    def normalize(gamma: tf.Tensor, beta: tf.Tensor, *parts: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        moments = [train(x=part, scale=gamma, offset=beta)[1:3] for part in parts]
        mean = join([part_mean for part_mean, _ in moments])
        variance = join([v * b + (m - mean) ** 2 for (m, v), b in zip(moments, biased, strict=True)])

        def affine(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
            """(x - mean) r scale + offset."""
            return tf.raw_ops.FusedBatchNormV3(
                x=x,
                scale=scale,
                offset=offset,
                mean=mean,
                variance=variance,
                epsilon=epsilon,
                is_training=False,
            )[0]

        def gradient(*gradients: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # The last two gradients are those of mean and variance. No loss depends on these, so zip drops them.
            direct = [
                tf.raw_ops.FusedBatchNormGradV3(
                    y_backprop=dy,
                    x=x,
                    scale=gamma,
                    reserve_space_1=mean,
                    reserve_space_2=variance,
                    reserve_space_3=none,
                    epsilon=epsilon,
                    is_training=False,
                )[:3]
                for x, dy in zip(parts, gradients, strict=False)
            ]
            d_gamma = tf.add_n([part_d_gamma for _, part_d_gamma, _ in direct])
            d_beta = tf.add_n([part_d_beta for _, _, part_d_beta in direct])
            factor = -gamma * tf.math.rsqrt(variance + epsilon) / total
            d_parts = [
                dx + affine(x, factor * d_gamma, factor * d_beta)
                for x, (dx, _, _) in zip(parts, direct, strict=True)
            ]
            return _prevent_second_derivatives(d_gamma, d_beta, *d_parts)

        return (*(affine(part, gamma, beta) for part in parts), mean, variance), gradient

    *outputs, mean, variance = normalize(gamma, beta, *parts)
    return outputs, mean, variance


def _prevent_second_derivatives(*gradients: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Return the gradients unchanged, and raise a LookupError when someone differentiates them.

    Without this, TensorFlow would silently return wrong second derivatives.
    """
    message = "kerasnorm's fast layers have no second derivative; train without speed_up"
    return tuple(tf.raw_ops.PreventGradient(input=t, message=message) for t in gradients)


def group_normalization(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, groups: int, epsilon: float
) -> tf.Tensor:
    """Group Normalization (Wu and He 2018, arXiv:1803.08494) with a gradient in closed form.

    With x' = x - mean and r = 1 / sqrt(variance + epsilon), both over one group of channels of one image,

        y  = x' r gamma + beta
        dx = dy r gamma - x' r^3 mean(dy gamma x') - r mean(dy gamma)
        dgamma = sum(dy x' r),  dbeta = sum(dy)

    All means and sums follow from two numbers per image and channel: the sums of dy and of dy x' over the pixels.
    The variance is the mean square of x', not a difference of two large sums, so it stays accurate for a large mean.

    Args:
        x: (batch, ..., channels) with one pixel axis or more.
        gamma: (channels,).
        beta: (channels,).
        groups: number of groups of neighbouring channels, a divisor of `channels`.
        epsilon: small number added to the variance.

    Returns:
        A tensor of the shape and dtype of `x`. Second derivatives raise a LookupError.
    """
    channels = x.shape[-1]
    shape = tf.shape(x)
    pixels = tf.reduce_prod(shape[1:-1])
    row = _pixels_per_row(x.shape[-2], channels)
    rows_shape = tf.stack([shape[0], pixels // row, row * channels])

    def rows(t: tf.Tensor) -> tf.Tensor:
        return tf.reshape(t, rows_shape)

    def spread(values: tf.Tensor) -> tf.Tensor:
        """Repeat (batch, channels) or (1, channels) along a row, to broadcast against rows."""
        return tf.tile(values, (1, row))[:, None, :]

    def pixel_sum(t: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.reshape(t, tf.stack([shape[0], pixels, channels])), axis=1)

    def group_mean(sums: tf.Tensor) -> tf.Tensor:
        """From sums over the pixels, (batch, channels), the mean of each channel's group, (batch, channels)."""
        grouped = tf.reshape(sums, (-1, groups, channels // groups))
        total = tf.repeat(tf.reduce_sum(grouped, axis=2), channels // groups, axis=1)
        return total / tf.cast(pixels * (channels // groups), x.dtype)

    @tf.custom_gradient
    def normalize(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        centred = rows(x) - spread(group_mean(pixel_sum(x)))
        variance = group_mean(pixel_sum(tf.square(centred)))
        inverse = tf.math.rsqrt(variance + tf.cast(epsilon, x.dtype))
        scale = inverse * gamma
        y = centred * spread(scale) + spread(beta[None])

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dy = rows(dy)
            sum_dy, sum_dy_x = pixel_sum(dy), pixel_sum(dy * centred)
            slope = -(inverse**3) * group_mean(gamma * sum_dy_x)
            offset = -inverse * group_mean(gamma * sum_dy)
            dx = dy * spread(scale) + (centred * spread(slope) + spread(offset))
            return _prevent_second_derivatives(
                tf.reshape(dx, shape),
                tf.reduce_sum(sum_dy_x * inverse, axis=0),
                tf.reduce_sum(sum_dy, axis=0),
            )

        return tf.reshape(y, shape), gradient

    outputs = normalize(x, gamma, beta)
    outputs.set_shape(x.shape)
    return outputs


def _pixels_per_row(width: int | None, channels: int) -> int:
    """The largest divisor of the width for which a row has at most _ROW values."""
    most = max(1, _ROW // channels)
    return max(n for n in range(1, most + 1) if width % n == 0) if width else 1


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Dropout (Srivastava et al. 2014) with a mask that takes a few integer operations per four elements.

    In stock dropout, the random numbers of TensorFlow's Philox generator take longer than everything else. Here
    Philox draws only two 32-bit keys a and b per image. Each group of four neighbouring elements has a constant
    random word R, and the four bytes of its keyed hash decide about them. The hash is multiply-shift
    (Dietzfelbinger et al. 1997) with a second round that mixes the high bits into the low ones:

        h = (R xor a) (b or 1),  h = (h xor (h >> 15)) 0x2c1b3c6d,  all modulo 2^32

    An element is dropped if its byte is below the threshold 256 * rate. If that is not a whole number, each call
    draws one of the two whole numbers next to it, so that the expected share of dropped elements is `rate`. Kept
    elements are divided by the share that this call keeps, so that the expectation of each element is x.

    Args:
        x: (batch, ...) float32 or float64. All axes but the batch have a known size.
        rate: share of elements to drop, 1/256 <= rate < 1.
        seed: (2,) integers.

    Returns:
        A tensor of the shape and dtype of `x`.
    """
    size = math.prod(x.shape[1:])
    words = -(-size // 4)
    shape = tf.shape(x)
    keys = tf.random.stateless_uniform(
        tf.stack([2, shape[0] + 1, 1]), tf.cast(seed, tf.int32), None, None, tf.uint32
    )
    h = tf.bitwise.bitwise_xor(_words(words), keys[0, 1:]) * tf.bitwise.bitwise_or(keys[1, 1:], _word(1))
    h = tf.bitwise.bitwise_xor(h, tf.bitwise.right_shift(h, _word(15))) * _word(0x2C1B3C6D)
    bytes_ = tf.reshape(tf.bitcast(h, tf.uint8), (-1, 4 * words))
    if size % 4:
        bytes_ = bytes_[:, :size]

    lower = math.floor(256 * rate)
    share = 256 * rate - lower  # the share of calls that take the next threshold
    threshold = lower + tf.cast(tf.cast(keys[0, 0, 0], tf.float64) < share * 2.0**32, tf.int32)
    kept = bytes_ >= tf.cast(threshold, tf.uint8)
    mask = tf.cast(kept, x.dtype) * tf.cast(256 / (256 - threshold), x.dtype)
    outputs = x * tf.reshape(mask, shape)
    outputs.set_shape(x.shape)
    return outputs


def _word(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint32)


@functools.cache
def _random_words(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**32, (1, size), np.uint32)


def _words(size: int) -> tf.Tensor:
    """(1, size) uint32, the same in every process, so that a resumed run draws the same masks."""
    return tf.constant(_random_words(size))
