"""A batch in parts gives the results of the whole batch, or is not split."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from kerasnorm import build_cnn
from kerasnorm.speed import restore, speed_up, steps_per_execution
from kerasnorm.speed.partition import whole_reason

from .helpers import Builder, cnn, images, randomized, residual, step, twins

# Model, normalization, batch size, parts. The last batch has fewer images than parts.
CASES = [
    *((cnn, "bn", 13, 1), (cnn, "bn", 13, 2), (cnn, "ln", 7, 2), (cnn, "gn", 7, 2)),
    *((residual, norm, 13, parts) for norm in ("bn", "gn") for parts in (1, 2, 3)),
    (residual, "bn", 2, 3),
]


def root_mean_square(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


@functools.cache
def stock_step(
    build: Callable[..., Builder], norm: str, size: int, dtype: str
) -> tuple[keras.Model, dict[str, np.ndarray]]:
    """The stock model, with the same weights in each dtype, and its step."""
    model = build(norm, dtype)()
    model.set_weights(randomized(build(norm)).get_weights())
    return model, step(model, *images((size, *model.input_shape[1:]), model.output_shape[-1]))


@pytest.mark.parametrize(("build", "norm", "size", "parts"), CASES)
def test_step_is_as_close_to_float64_as_stock_layers(
    build: Callable[..., Builder], norm: str, size: int, parts: int
) -> None:
    """Outputs, gradients and moving statistics differ from float64 by the rounding of float32.

    The stock layers' distance from float64 measures this rounding. Behind several normalizations it varies between
    tensors by orders of magnitude.
    """
    truth, (stock, theirs) = (
        stock_step(build, norm, size, "float64")[1],
        stock_step(build, norm, size, "float32"),
    )
    fast = build(norm)()
    fast.set_weights(randomized(build(norm)).get_weights())
    speed_up(fast, parts)
    assert ("call" in vars(fast)) == (parts > 1)
    x, y = images((size, *stock.input_shape[1:]), stock.output_shape[-1])
    ours = step(fast, x, y)
    assert len(truth) > len(stock.trainable_weights)
    # If the input of a ReLU is 0 up to rounding, it may fall on either side, and so may its gradient.
    kinks = 2e-3 if build is cnn else 1e-5
    for (name, value), stock_value, fast_value in zip(
        truth.items(), theirs.values(), ours.values(), strict=True
    ):
        rounding = root_mean_square(stock_value - value)
        allowed = 6 * rounding + kinks * root_mean_square(value) + 5e-6
        assert root_mean_square(fast_value - value) <= allowed, name
    inference = {count: np.asarray(fast(x[:count], training=False)) for count in (1, size)}
    restore(fast)
    for count, outputs in inference.items():
        np.testing.assert_allclose(outputs, fast(x[:count], training=False), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_fit_follows_the_stock_model(norm: str) -> None:
    """Ten steps of `fit` with validation and steps_per_execution, in batches of an odd size."""
    x, y = images((95, 28, 28, 1))
    stock, fast = twins(lambda: build_cnn(norm, dropout=0.0, l1=0.001, l2=0.0005, blocks=1))
    speed_up(fast, 2)
    losses = []
    for model in (stock, fast):
        model.compile(
            keras.optimizers.SGD(0.01, momentum=0.8),
            "sparse_categorical_crossentropy",
            steps_per_execution=steps_per_execution(5),
        )
        history = model.fit(x, y, 19, epochs=2, shuffle=False, verbose=0, validation_data=(x[:33], y[:33]))
        losses.append([*history.history["loss"], *history.history["val_loss"]])
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.BatchNormalization(axis=1),
        keras.layers.BatchNormalization(dtype="float64"),
        keras.layers.BatchNormalization(synchronized=True),
        keras.layers.Concatenate(axis=0),
        keras.layers.Dense(3, activity_regularizer="l2"),
        keras.layers.Lambda(lambda x: x - keras.ops.mean(x, axis=0)),
        keras.layers.TimeDistributed(keras.layers.BatchNormalization()),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_need_the_whole_batch_are_not_divisible(layer: Any) -> None:
    inputs = keras.Input((6, 5, 4))
    outputs = layer([inputs, inputs]) if isinstance(layer, keras.layers.Concatenate) else layer(inputs)
    model = keras.Model(inputs, outputs)
    assert whole_reason(model)
    assert "call" not in vars(speed_up(model, 2))
