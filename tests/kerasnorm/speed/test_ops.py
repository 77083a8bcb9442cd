"""The fast operations against their formulas in plain TensorFlow, and the distribution of dropout masks."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kerasnorm.speed.ops import batch_normalization, dropout, group_normalization

SHAPES = [(1, 3, 3, 4), (5, 7, 6, 8), (16, 13, 12, 16)]


def close(ours: Any, expected: Any, scale: float = 1.0) -> None:
    """Equal to float32 rounding: a sum of some thousand products loses up to three digits of seven."""
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=2e-5 * scale)


def arrays(shape: tuple[int, ...], dtype: str = "float32", mean: float = 0.5) -> list[tf.Tensor]:
    """x, gamma, beta, dy."""
    rng = np.random.default_rng(sum(shape))
    drawn = (rng.normal(mean, 2, shape), rng.normal(1, 0.3, shape[-1]), rng.normal(0, 0.3, shape[-1]))
    return [tf.constant(value, dtype) for value in (*drawn, rng.normal(0, 1, shape))]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cuts", [[], [1], [1, 2], [1, 2, 4]])
def test_batch_normalization_of_parts_equals_formula_of_whole_batch(
    shape: tuple[int, ...], cuts: list[int]
) -> None:
    x, gamma, beta, dy = arrays(shape)
    bounds = [0, *(cut for cut in cuts if cut < shape[0]), shape[0]]
    epsilon = 1e-3

    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        parts = [x[a:b] for a, b in itertools.pairwise(bounds)]
        outputs, mean, variance = batch_normalization(parts, gamma, beta, epsilon)
        y = tf.concat(outputs, 0)
    gradients = tape.gradient(y, [x, gamma, beta], dy)

    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        true_mean, true_variance = tf.nn.moments(x, [0, 1, 2])
        expected = (x - true_mean) / tf.sqrt(true_variance + epsilon) * gamma + beta
    close(y, expected)
    close(mean, true_mean)
    close(variance, true_variance)
    for ours, theirs in zip(gradients, tape.gradient(expected, [x, gamma, beta], dy), strict=True):
        close(ours, theirs, scale=x.shape[0] ** 0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("shape", [*SHAPES, (3, 11, 8), (2, 3, 4, 5, 4), (2, 5, 1009, 4)])
def test_group_normalization_equals_formula(shape: tuple[int, ...], groups: int, dtype: str) -> None:
    x, gamma, beta, dy = arrays(shape, dtype)
    epsilon = 1e-5
    grouped = (shape[0], -1, groups, shape[-1] // groups)

    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        y = group_normalization(x, gamma, beta, groups, epsilon)
    gradients = tape.gradient(y, [x, gamma, beta], dy)

    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        t = tf.reshape(x, grouped)
        mean, variance = tf.nn.moments(t, [1, 3], keepdims=True)
        expected = tf.reshape((t - mean) / tf.sqrt(variance + epsilon), shape) * gamma + beta
    theirs = tape.gradient(expected, [x, gamma, beta], dy)
    if dtype == "float64":
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
        for ours, other in zip(gradients, theirs, strict=True):
            np.testing.assert_allclose(ours, other, rtol=1e-10, atol=1e-11)
    else:
        close(y, expected)
        for ours, other in zip(gradients, theirs, strict=True):
            close(ours, other, scale=x.shape[0] ** 0.5)


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_large_mean_keeps_precision(norm: str) -> None:
    """As a difference of two large numbers, the variance would have no digit left at a mean of 1,000."""
    x, gamma, beta, _ = arrays((8, 9, 9, 8), mean=1000.0)
    wide = tf.cast(x, tf.float64)
    if norm == "bn":
        outputs, _, _ = batch_normalization([x[:3], x[3:]], gamma, beta, 1e-3)
        y = tf.concat(outputs, 0)
        mean, variance = tf.nn.moments(wide, [0, 1, 2])
        normal = (wide - mean) / tf.sqrt(variance + 1e-3)
    else:
        y = group_normalization(x, gamma, beta, 2, 1e-3)
        t = tf.reshape(wide, (8, -1, 2, 4))
        mean, variance = tf.nn.moments(t, [1, 3], keepdims=True)
        normal = tf.reshape((t - mean) / tf.sqrt(variance + 1e-3), x.shape)
    expected = normal * tf.cast(gamma, tf.float64) + tf.cast(beta, tf.float64)
    # Rounding moves x itself by up to 3e-5, and so its distance from the mean.
    np.testing.assert_allclose(y, expected, rtol=0, atol=3e-4)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("norm", ["bn", "bn in parts", "gn"])
def test_higher_derivatives_equal_those_of_the_formula(norm: str, compiled: bool, order: int) -> None:
    tensors = arrays((5, 3, 3, 4))[:3]
    rng = np.random.default_rng(1)
    probes = [[rng.normal(size=tensor.shape) for tensor in tensors] for _ in range(order)]
    bounds = [0, 2, 5] if norm == "bn in parts" else [0, 5]

    def fast(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        if norm == "gn":
            return group_normalization(x, gamma, beta, 2, 1e-3)
        parts = [x[a:b] for a, b in itertools.pairwise(bounds)]
        return tf.concat(batch_normalization(parts, gamma, beta, 1e-3)[0], 0)

    def formula(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        grouped = tf.reshape(x, (5, 9, 2, 2)) if norm == "gn" else x
        mean, variance = tf.nn.moments(grouped, [1, 3] if norm == "gn" else [0, 1, 2], keepdims=True)
        return tf.reshape((grouped - mean) * tf.math.rsqrt(variance + 1e-3), x.shape) * gamma + beta

    def derivatives(function: Callable[..., tf.Tensor], tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """The gradient of a scalar that is linear in the next lower derivatives."""

        def value(level: int) -> tf.Tensor:
            if level == 0:
                return tf.reduce_mean(function(*tensors) ** 3)
            products = zip(gradients(level), probes[level - 1], strict=True)
            return tf.add_n([tf.reduce_sum(g * tf.cast(p, g.dtype)) for g, p in products])

        def gradients(level: int) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                below = value(level - 1)
            return list(tape.gradient(below, tensors))

        return gradients(order)

    run = tf.function(derivatives) if compiled else derivatives
    expected = derivatives(formula, [tf.cast(tensor, tf.float64) for tensor in tensors])
    for ours, theirs in zip(run(fast, tensors), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def test_parts_that_do_not_count_leave_the_statistics_alone() -> None:
    x, gamma, beta, dy = arrays((2, 3, 3, 4))
    results = []
    for padding in (0, 1):
        with tf.GradientTape() as tape:
            tape.watch([x, gamma, beta])
            parts = [x[:1], x[1:], *[tf.ones((1, 3, 3, 4))] * padding]
            counted = [tf.ones(()), tf.ones(()), *[tf.zeros(())] * padding]
            outputs, mean, variance = batch_normalization(parts, gamma, beta, 1e-3, counted)
            y = tf.concat(outputs[:2], 0)
        results.append([y, mean, variance, *tape.gradient(y, [x, gamma, beta], dy)])
    for ours, expected in zip(results[1], results[0], strict=True):
        close(ours, expected)


# Dropout masks of 600 images with 7 x 9 x 5 elements, not a multiple of 4.
SHAPE = (600, 7, 9, 5)
RATES = [1 / 32, 0.05, 0.1, 0.25, 0.5, 0.9]


def masks(rate: float, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """True for dropped elements, (images, elements)."""
    y = dropout(tf.ones(shape), rate, tf.constant([seed, 7])).numpy().reshape(shape[0], -1)
    return np.asarray(y == 0)


@pytest.mark.parametrize("rate", RATES)
def test_dropout_rate_and_scale(rate: float) -> None:
    lower = 256 * rate // 1
    thresholds = []
    for seed in range(40):
        y = dropout(tf.ones(SHAPE), rate, tf.constant([seed, 7])).numpy()
        kept = np.unique(y[y > 0])
        assert len(kept) == 1
        # A call uses one of two thresholds and divides by its own share of kept elements.
        threshold = 256 - 256 / float(kept[0])
        np.testing.assert_allclose(threshold, np.round(threshold), atol=1e-3, rtol=0)
        assert lower <= np.round(threshold) <= np.ceil(256 * rate)
        thresholds.append(np.round(threshold) - lower)
        share = np.round(threshold) / 256
        deviation = np.sqrt(share * (1 - share) / y.size)
        assert abs((y == 0).mean() - share) < 5 * deviation
        np.testing.assert_allclose(y.mean(), 1, rtol=0, atol=5 * deviation / (1 - share))
    part = 256 * rate - lower
    assert abs(np.mean(thresholds) - part) <= 4 * np.sqrt(part * (1 - part) / len(thresholds))


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_dropout_elements_are_independent(rate: float) -> None:
    dropped = np.concatenate([masks(rate, seed) for seed in range(8)]).astype(np.float64)  # (4800, 315)
    images = len(dropped)
    z = (dropped.mean(axis=0) - rate) / np.sqrt(rate * (1 - rate) / images)
    assert 0.75 < (z**2).mean() < 1.25  # chi-squared over 315 elements
    assert abs(z).max() < 5
    # The number of dropped elements varies between images as it does for independent elements.
    counts = dropped.sum(axis=1)
    independent = dropped.shape[1] * rate * (1 - rate)
    assert 0.85 < counts.var() / independent < 1.15
    # No two elements are correlated, whether they share a word of the hash or not.
    pairs = np.asarray(np.corrcoef(dropped.T))[np.triu_indices(dropped.shape[1], 1)] * np.sqrt(images)
    assert 0.9 < pairs.var() < 1.1
    assert abs(pairs).max() < 6
    # No two images are correlated, within a call or between calls.
    images_pairs = np.asarray(np.corrcoef(dropped[::4]))[np.triu_indices(images // 4, 1)] * np.sqrt(
        dropped.shape[1]
    )
    assert 0.95 < images_pairs.var() < 1.05
    # Among 720,000 pairs with about 16 drops each, independent elements also reach 8 deviations.
    assert abs(images_pairs).max() < 12


def test_dropout_triples_within_a_word_are_independent() -> None:
    """Three elements that share a hashed word are dropped together as often as independent ones."""
    dropped = np.concatenate([masks(0.25, seed, (4000, 8, 8, 16)) for seed in range(2)])
    for places in ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)):
        together = np.logical_and.reduce([dropped[:, place::4] for place in places])
        deviation = np.sqrt(0.25**3 / together.size)
        assert abs(together.mean() - 0.25**3) < 6 * deviation


def test_dropout_follows_its_seed() -> None:
    np.testing.assert_array_equal(masks(0.5, 1), masks(0.5, 1))
    assert 0.45 < (masks(0.5, 1) != masks(0.5, 2)).mean() < 0.55


def test_dropout_gradient_is_its_mask() -> None:
    x = tf.constant(np.random.default_rng(0).normal(size=(6, 5, 4, 3)), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = dropout(x, 0.3, tf.constant([1, 2]))
    np.testing.assert_allclose(tape.gradient(y, x), y / x, rtol=1e-12, atol=1e-12)
