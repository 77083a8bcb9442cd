"""BatchRenormalization: the paper's algorithm in NumPy, its limits, its schedule, its gradient and its stock form."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnorm.normalizations import BatchRenormalization
from kerasnorm.normalizations.batch_renormalization import scaled_schedule
from tests.kerasnorm.normalizations.layers import images, randomized, saved_and_loaded

SHORT = {"warmup": 2, "r_steps": 6, "d_steps": 4}


def test_the_algorithm_of_the_paper() -> None:
    layer = randomized(BatchRenormalization(**SHORT, momentum=0.7, epsilon=1e-3, dtype="float64"), 3)
    gamma, beta = np.asarray(layer.gamma), np.asarray(layer.beta)
    mu, sigma = np.asarray(layer.moving_mean), np.sqrt(np.asarray(layer.moving_variance) + 1e-3)
    bounds = [(1, 0), (1, 0), (1, 0), (1.5, 2.5), (2, 5), (2.5, 5), (3, 5), (3, 5)]
    for step, (r_max, d_max) in enumerate(bounds):
        x = images(5, 4, 2, 3, seed=step, mean=step)
        mu_b, sigma_b = x.mean((0, 1, 2)), np.sqrt(x.var((0, 1, 2)) + 1e-3)
        r = np.clip(sigma_b / sigma, 1 / r_max, r_max)
        d = np.clip((mu_b - mu) / sigma, -d_max, d_max)
        expected = gamma * ((x - mu_b) / sigma_b * r + d) + beta
        np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-9, atol=1e-9)
        mu, sigma = mu + 0.3 * (mu_b - mu), sigma + 0.3 * (sigma_b - sigma)
        assert int(layer.step) == step + 1
    np.testing.assert_allclose(layer(x), gamma * (x - mu) / sigma + beta, rtol=1e-9, atol=1e-9)
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True), layer(x), rtol=0, atol=0)
    assert int(layer.step) == len(bounds)


def test_it_is_batch_normalization_in_the_warm_up() -> None:
    layer = randomized(BatchRenormalization(dtype="float64"), 3)
    bn = keras.layers.BatchNormalization(dtype="float64")
    bn.build((None, 4, 4, 3))
    bn.gamma.assign(layer.gamma)
    bn.beta.assign(layer.beta)
    for batch in (2, 7):
        x = images(batch, 4, 4, 3)
        np.testing.assert_allclose(layer(x, training=True), bn(x, training=True), rtol=1e-9, atol=1e-9)


def test_without_bounds_training_and_inference_agree() -> None:
    layer = randomized(BatchRenormalization(1e9, 1e9, warmup=0, r_steps=0, d_steps=0, dtype="float64"), 3)
    layer.step.assign(1)
    x = images(5, 4, 4, 3)
    before = np.asarray(layer(x))
    np.testing.assert_allclose(layer(x, training=True), before, rtol=1e-9, atol=1e-9)


def test_the_gradient_does_not_pass_through_r_and_d() -> None:
    """With r at its bound of 2, the gradient is twice that of batch normalization."""
    x, dy = images(6, 4, 4, 2), images(6, 4, 4, 2, seed=3)

    def gradient(r_max: float, d_max: float) -> np.ndarray:
        steps = {"warmup": 0, "r_steps": 0, "d_steps": 0}
        layer = BatchRenormalization(r_max, d_max, **steps, epsilon=1e-3, dtype="float64")
        layer.build(x.shape)
        layer.moving_variance.assign([1e-6, 1e-6])  # sigma_B / sigma is beyond the bound
        layer.step.assign(1)
        inputs = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        return np.asarray(tape.gradient(outputs, inputs, tf.constant(dy)))

    np.testing.assert_allclose(gradient(2.0, 5.0), 2 * gradient(1.0, 0.0), rtol=1e-9, atol=1e-12)
    assert np.abs(gradient(1.0, 0.0)).max() > 1e-3


def test_schedule() -> None:
    assert scaled_schedule(130_000) == {"warmup": 5_000, "r_steps": 40_000, "d_steps": 25_000}
    for steps in (1, 10, 1_000):
        layer = BatchRenormalization(**scaled_schedule(steps))
        assert [float(bound) for bound in layer.bounds(steps)] == [3, 5]
        assert [float(bound) for bound in layer.bounds(0)] == [1, 0]


def test_stock_form_and_file(tmp_path: Path) -> None:
    layer = randomized(BatchRenormalization(2.0, 4.0, **SHORT, epsilon=1e-4, beta_regularizer="l2"), 3)
    layer.step.assign(5)
    (stock,) = layer.stock_layers()
    assert type(stock) is keras.layers.BatchNormalization
    x = images(5, 4, 4, 3).astype("float32")
    np.testing.assert_array_equal(stock(x), layer(x))
    loaded = saved_and_loaded(layer, (4, 4, 3), tmp_path)
    np.testing.assert_array_equal(loaded(x, training=True), layer(x, training=True))


def test_wrong_arguments_raise() -> None:
    with pytest.raises(ValueError, match=r"r_max, d_max: expected 1 or more and 0 or more, got 0.5 and 1"):
        BatchRenormalization(0.5, 1)
    with pytest.raises(ValueError, match="warmup: expected 0 up to r_steps=9 and d_steps=5, got 7"):
        BatchRenormalization(warmup=7, r_steps=9, d_steps=5)
    with pytest.raises(ValueError, match="BatchRenormalization: expected renorm=False, got True"):
        BatchRenormalization(renorm=True)
