"""The port agrees with the reference in float64: builder, penalties, StepDecay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kerasnorm import RECIPES, StepDecay, build_cnn

NORMS = ["bn", "ln", "gn"]  # those of the reference
STEPS = 8


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def golden(norm: str) -> dict[str, Any]:
    with np.load(Path(__file__).parent.parent / f"golden/seed_{norm}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def reference_model(norm: str, arrays: dict[str, Any]) -> keras.Model:
    """The model with the recipe's penalties and the initial weights of the reference."""
    recipe = RECIPES["notebook"].for_norm(norm)
    assert (recipe.l1, recipe.l2) == (arrays["l1"], arrays["l2"])
    assert (recipe.learning_rate, recipe.momentum) == (arrays["lr"], arrays["momentum"])
    model = build_cnn(
        norm, dropout=0.0, l1=recipe.l1 or 0.0, l2=recipe.l2 or 0.0, penalize=recipe.penalize, dtype="float64"
    )
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(arrays[f"init/{layer.name}/{weight.name}"])
    model.compile(
        keras.optimizers.SGD(recipe.learning_rate, momentum=recipe.momentum),
        "sparse_categorical_crossentropy",
        metrics=[keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy")],
    )
    return model


def images(arrays: dict[str, Any], step: int) -> np.ndarray:
    return np.asarray(arrays["x"][step][..., None])


@pytest.mark.parametrize("norm", NORMS)
def test_forward(norm: str) -> None:
    arrays = golden(norm)
    log_probabilities = np.log(reference_model(norm, arrays)(images(arrays, 0)))
    np.testing.assert_allclose(log_probabilities, arrays["init/eval_log_probs"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_first_gradients(norm: str) -> None:
    import tensorflow as tf

    arrays = golden(norm)
    model = reference_model(norm, arrays)
    kernels = [model.get_layer(name).kernel.value for name in ("conv0", "conv4")]
    with tf.GradientTape() as tape:
        probabilities = model(images(arrays, 0), training=True)
        loss = keras.losses.SparseCategoricalCrossentropy()(arrays["y"][0], probabilities) + sum(model.losses)
    for name, kernel, gradient in zip(("conv0", "conv4"), kernels, tape.gradient(loss, kernels), strict=True):
        # The reference's optimizer adds the weight decay to this gradient; our loss includes the penalty.
        before_decay = gradient - float(arrays["l2"]) * kernel
        np.testing.assert_allclose(before_decay, arrays[f"grad0/{name}/kernel"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_eight_steps_with_a_drop_of_the_learning_rate(norm: str) -> None:
    arrays = golden(norm)
    model = reference_model(norm, arrays)
    drop = int(arrays["lr_drop_before_step"])
    decay = StepDecay(
        float(arrays["lr"]), step_size=drop, gamma=float(arrays["gamma"]), rescale_velocity=True
    )
    decay.set_model(model)
    for step in range(STEPS):
        decay.on_epoch_begin(
            step
        )  # the reference dropped the rate within an epoch; here each step is an epoch
        squares = sum(float((weight.numpy() ** 2).sum()) for weight in model.trainable_weights)
        loss, cross_entropy = model.train_on_batch(images(arrays, step), arrays["y"][step])
        model.reset_metrics()
        np.testing.assert_allclose(cross_entropy, arrays["nll"][step], rtol=0, atol=1e-8)
        with_l1 = loss - float(arrays["l2"]) / 2 * squares
        np.testing.assert_allclose(with_l1, arrays["loss_with_l1"][step], rtol=0, atol=1e-8)
    for layer in model.layers:
        for weight in layer.weights:
            expected = arrays[f"final/{layer.name}/{weight.name}"]
            if weight.name == "moving_variance":
                # PyTorch's is unbiased, larger by N / (N - 1) in every step: the only known difference.
                error = np.abs(weight.numpy() - expected).max()
                assert 1e-6 < error < 1e-3
            else:
                np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("norm", ["ln", "gn"])
def test_weights_differ_from_the_reference_without_rescaled_velocity(norm: str) -> None:
    arrays = golden(norm)
    model = reference_model(norm, arrays)
    decay = StepDecay(float(arrays["lr"]), int(arrays["lr_drop_before_step"]), float(arrays["gamma"]))
    decay.set_model(model)
    for step in range(STEPS):
        decay.on_epoch_begin(step)
        model.train_on_batch(images(arrays, step), arrays["y"][step])
    kernel = model.get_layer("conv4").kernel.numpy()
    assert np.abs(kernel - arrays["final/conv4/kernel"]).max() > 1e-5
