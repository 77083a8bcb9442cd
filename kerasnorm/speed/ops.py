"""Batch normalization, group normalization and dropout in few passes over the activations, for TensorFlow on CPU.

In a training step of a small CNN, stock normalization and dropout take longer than the convolutions: Keras composes
each of them from about a dozen elementwise operations, and each operation is a pass over the activations. The
functions here compute the same in fewer and cheaper passes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# Broadcasting along a last axis of 16 channels is slow. Along rows of several pixels, of up to this size, it is fast.
_ROW = 512

# From tensors to the outputs of an operation.
_Formula = Callable[..., Sequence[tf.Tensor]]
# From tensors to the outputs, and to a function from the gradients of the outputs to those of the tensors.
_WithGradient = Callable[..., tuple[Sequence[tf.Tensor], Callable[..., Sequence[tf.Tensor]]]]


def batch_normalization(
    parts: Sequence[tf.Tensor],
    gamma: tf.Tensor,
    beta: tf.Tensor,
    epsilon: float,
    counted: Sequence[tf.Tensor] | None = None,
) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Batch Normalization (Ioffe and Szegedy 2015, arXiv:1502.03167) of a batch that is split into parts.

    The statistics are those of the whole batch. The formula of Chan et al. (1979) combines the statistics of the
    parts. With n_i rows, mean_i and variance_i in part i, and n = sum n_i,

        mean = sum n_i mean_i / n,  variance = sum n_i (variance_i + (mean_i - mean)^2) / n

    With x' = (x - mean) r and r = 1 / sqrt(variance + epsilon), the gradient of each part is

        dx = gamma r dy - gamma r (sum(dy) + x' sum(dy x')) / n,  with sums over all parts.

    Every pass over the data is one of TensorFlow's fused operations. Higher derivatives are those of Keras, which takes
    the mean in the variance for a constant.

    Args:
        parts: (batch_i, height, width, channels) float32 each, none of them empty.
        gamma: (channels,).
        beta: (channels,).
        epsilon: small number added to the variance.
        counted: a float32 scalar for each part, 1 or 0. A part with 0 is padding: its rows do not count in the
            statistics. Its outputs must not be used. Default: all parts count.

    Returns:
        The normalized parts, the mean (channels,) and the biased variance (channels,). The last two have no gradient.
    """
    counted = [tf.ones(())] * len(parts) if counted is None else counted
    rows = [tf.cast(tf.reduce_prod(tf.shape(part)[:-1]), tf.float32) for part in parts]
    total = tf.add_n([n * count for n, count in zip(rows, counted, strict=True)])
    shares = [n * count / total for n, count in zip(rows, counted, strict=True)]

    def join(values: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.add_n([value * share for value, share in zip(values, shares, strict=True)])

    def formula(gamma: tf.Tensor, beta: tf.Tensor, *parts: tf.Tensor) -> list[tf.Tensor]:
        mean = join([tf.reduce_mean(x, (0, 1, 2)) for x in parts])
        constant = tf.stop_gradient(mean)  # as in tf.nn.moments, which Keras uses
        variance = join([tf.reduce_mean((x - constant) ** 2, (0, 1, 2)) for x in parts])
        scale = gamma * tf.math.rsqrt(variance + epsilon)
        return [*((x - mean) * scale + beta for x in parts), mean, variance]

    none = tf.zeros(0)
    train = functools.partial(tf.raw_ops.FusedBatchNormV3, mean=none, variance=none, epsilon=epsilon)
    biased = [(n - 1) / n for n in rows]  # the fused operation returns the unbiased variance

    def normalize_whole(
        gamma: tf.Tensor, beta: tf.Tensor, x: tf.Tensor
    ) -> tuple[list[tf.Tensor], Callable[..., list[tf.Tensor]]]:
        y, mean, variance, *reserved = train(x=x, scale=gamma, offset=beta)

        def gradient(dy: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor]:
            dx, d_gamma, d_beta, *_ = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=dy,
                x=x,
                scale=gamma,
                reserve_space_1=reserved[0],
                reserve_space_2=reserved[1],
                reserve_space_3=reserved[2],
                epsilon=epsilon,
            )
            return [d_gamma, d_beta, dx]

        return [y, mean, variance * biased[0]], gradient

    def normalize_parts(
        gamma: tf.Tensor, beta: tf.Tensor, *parts: tf.Tensor
    ) -> tuple[list[tf.Tensor], Callable[..., list[tf.Tensor]]]:
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

        def gradient(*gradients: tf.Tensor) -> list[tf.Tensor]:
            # The last two gradients, those of mean and variance, are zero.
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
                for x, dy in zip(parts, gradients[:-2], strict=True)
            ]
            d_gamma = tf.add_n([part_d_gamma for _, part_d_gamma, _ in direct])
            d_beta = tf.add_n([part_d_beta for _, _, part_d_beta in direct])
            factor = -gamma * tf.math.rsqrt(variance + epsilon) / total
            d_parts = [
                dx + affine(x, factor * count * d_gamma, factor * count * d_beta)
                for x, (dx, _, _), count in zip(parts, direct, counted, strict=True)
            ]
            return [d_gamma, d_beta, *d_parts]

        return [*(affine(part, gamma, beta) for part in parts), mean, variance], gradient

    normalize = normalize_whole if len(parts) == 1 else normalize_parts
    *outputs, mean, variance = _with_second_derivatives(normalize, formula)(gamma, beta, *parts)
    return outputs, tf.stop_gradient(mean), tf.stop_gradient(variance)


def _with_second_derivatives(compute: _WithGradient, formula: _Formula) -> _Formula:
    """Return a function with the outputs and gradient of `compute`, and second derivatives of `formula`.

    `compute` is fast, but TensorFlow cannot differentiate its gradient. It can differentiate that of `formula`.
    """

    @tf.custom_gradient
    def function(*inputs: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        outputs, fast_gradient = compute(*inputs)

        def gradient(*output_gradients: tf.Tensor) -> Any:
            @tf.custom_gradient
            def first(*arguments: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
                def second(*upstream: tf.Tensor) -> Any:
                    with tf.GradientTape() as tape:
                        tape.watch(arguments)
                        gradients = slow_gradient(arguments[: len(inputs)], arguments[len(inputs) :])
                    return tape.gradient(gradients, arguments, upstream, unconnected_gradients="zero")

                return fast_gradient(*arguments[len(inputs) :]), second

            return first(*inputs, *output_gradients)

        return outputs, gradient

    def slow_gradient(inputs: Sequence[tf.Tensor], output_gradients: Sequence[tf.Tensor]) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = formula(*inputs)
        return tape.gradient(outputs, inputs, output_gradients, unconnected_gradients="zero")

    return function


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
    Higher derivatives are those of Keras, which takes the mean in the variance for a constant.

    Args:
        x: (batch, ..., channels) with one pixel axis or more.
        gamma: (channels,).
        beta: (channels,).
        groups: number of groups of neighbouring channels, a divisor of `channels`.
        epsilon: small number added to the variance.

    Returns:
        A tensor of the shape and dtype of `x`.
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

    def mean(x: tf.Tensor) -> tf.Tensor:
        return spread(group_mean(pixel_sum(x)))

    def inverse_deviation(centred: tf.Tensor) -> tf.Tensor:
        """r as (batch, channels)."""
        variance = group_mean(pixel_sum(tf.square(centred)))
        return tf.math.rsqrt(variance + tf.cast(epsilon, x.dtype))

    def affine(centred: tf.Tensor, inverse: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> list[tf.Tensor]:
        return [tf.reshape(centred * spread(inverse * gamma) + spread(beta[None]), shape)]

    def formula(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> list[tf.Tensor]:
        constant = tf.stop_gradient(mean(x))  # as in tf.nn.moments, which Keras uses
        return affine(rows(x) - mean(x), inverse_deviation(rows(x) - constant), gamma, beta)

    def normalize(
        x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor
    ) -> tuple[list[tf.Tensor], Callable[..., list[tf.Tensor]]]:
        centred = rows(x) - mean(x)
        inverse = inverse_deviation(centred)

        def gradient(dy: tf.Tensor) -> list[tf.Tensor]:
            dy = rows(dy)
            sum_dy, sum_dy_x = pixel_sum(dy), pixel_sum(dy * centred)
            slope = -(inverse**3) * group_mean(gamma * sum_dy_x)
            offset = -inverse * group_mean(gamma * sum_dy)
            dx = dy * spread(inverse * gamma) + (centred * spread(slope) + spread(offset))
            return [
                tf.reshape(dx, shape),
                tf.reduce_sum(sum_dy_x * inverse, axis=0),
                tf.reduce_sum(sum_dy, axis=0),
            ]

        return affine(centred, inverse, gamma, beta), gradient

    (outputs,) = _with_second_derivatives(normalize, formula)(x, gamma, beta)
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
        rate: share of elements to drop, 1/256 <= rate <= 254/256.
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
