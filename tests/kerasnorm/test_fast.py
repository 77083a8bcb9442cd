"""speed_up: the numbers of the stock layers, in anyone's model; what it leaves alone; what it leaves behind."""

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnorm import build_cnn
from kerasnorm.fast import restore, set_threads, speed_up, steps_per_execution

Builder = Callable[[], keras.Model]


def step(model: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs, gradients and moving statistics of one training step, in a graph as `fit` has it."""

    @tf.function
    def run() -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, outputs))
            loss += tf.add_n(model.losses) if model.losses else 0.0
        return outputs, tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    outputs, gradients = run()
    named = {
        weight.path: grad.numpy() for weight, grad in zip(model.trainable_weights, gradients, strict=True)
    }
    moving = {
        weight.path: weight.numpy() for weight in model.non_trainable_weights if "moving" in weight.path
    }
    return {"outputs": outputs.numpy(), **named, **moving}


def images(shape: tuple[int, ...], classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, shape).astype("float32"), rng.integers(0, classes, shape[0])


def cnn(norm: str, dtype: str = "float32") -> Builder:
    # Dropout draws other masks when it is fast; its own numbers are tested in test_kernels.py.
    return lambda: build_cnn(norm, dropout=0.0, l1=0.001, l2=0.0005, penalize="all", dtype=dtype)


def residual(norm: str, dtype: str = "float32") -> Builder:
    """Branches, a nested model, a layer used twice, a fused and a plain axis, gamma and beta left out."""

    def build() -> keras.Model:
        def normalized(x: Any, **options: Any) -> Any:
            if norm == "bn":
                return keras.layers.BatchNormalization(momentum=0.7, epsilon=3e-3, **options)(x)
            return keras.layers.GroupNormalization(groups=3, epsilon=3e-3, **options)(x)

        with_policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        try:
            inputs = keras.Input((10, 9, 3))
            x = keras.layers.Conv2D(6, 3, padding="same", activation="silu")(inputs)
            inner_in = keras.Input((10, 9, 6))
            shared = keras.layers.Conv2D(6, 3, padding="same")
            inner = keras.Model(inner_in, shared(normalized(shared(inner_in), center=False)))
            x = keras.layers.Add()([x, inner(x)])
            x = keras.layers.Activation("gelu")(normalized(x, scale=False))
            x = keras.layers.Concatenate()([x, keras.layers.AveragePooling2D(1)(x)])
            x = keras.layers.GlobalAveragePooling2D()(normalized(x))
            if norm == "bn":
                x = normalized(x)  # of rank 2
            return keras.Model(inputs, keras.layers.Dense(5, "softmax")(x))
        finally:
            keras.config.set_dtype_policy(with_policy)

    return build


def randomized(build: Builder) -> keras.Model:
    """The model with no weight at its start value; the same weights at each call."""
    keras.utils.set_random_seed(0)
    model = build()
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    return model


def pair(build: Builder, parts: int) -> tuple[keras.Model, keras.Model]:
    """A stock model and a fast one of the same weights."""
    stock, fast = randomized(build), build()
    fast.set_weights(stock.get_weights())
    return stock, speed_up(fast, parts)


def is_fast(model: keras.Model) -> bool:
    return "call" in model.__dict__ or any("call" in layer.__dict__ for layer in model.layers)


# Model, normalization, size of the batch, parts; the last is a batch that is too small for its parts.
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
    """The stock model, of the same weights in each dtype, and its step."""
    model = build(norm, dtype)()
    model.set_weights(randomized(build(norm)).get_weights())
    return model, step(model, *images((size, *model.input_shape[1:]), model.output_shape[-1]))


@pytest.mark.parametrize(("build", "norm", "size", "parts"), CASES)
def test_a_step_is_as_close_to_float64_as_the_stock_layers(
    build: Callable[..., Builder], norm: str, size: int, parts: int
) -> None:
    """Outputs, every gradient and the moving statistics: off by no more than float32's own rounding.

    That rounding is measured, by the stock layers' own distance from float64: through several normalizations
    it differs from tensor to tensor by orders of magnitude.
    """
    truth, (stock, theirs) = (
        stock_step(build, norm, size, "float64")[1],
        stock_step(build, norm, size, "float32"),
    )
    fast = build(norm)()
    fast.set_weights(randomized(build(norm)).get_weights())
    speed_up(fast, parts)
    assert ("call" in fast.__dict__) == (parts > 1)
    x, y = images((size, *stock.input_shape[1:]), stock.output_shape[-1])
    ours = step(fast, x, y)
    assert len(truth) > len(stock.trainable_weights)
    # A ReLU whose input is at rounding distance from 0 may fall on either side, and its gradient with it.
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
def test_float64_agrees_to_float64(norm: str) -> None:
    stock, fast = pair(residual(norm, "float64"), 1)
    x, y = images((6, 10, 9, 3), 5)
    expected, got = step(stock, x, y), step(fast, x, y)
    for (name, value), ours in zip(expected.items(), got.values(), strict=True):
        np.testing.assert_allclose(ours, value, rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_fit_follows_the_stock_model(norm: str) -> None:
    """Ten steps of plain `fit`, callbacks and steps_per_execution included, with batches that don't divide."""
    x, y = images((95, 28, 28, 1))
    stock, fast = pair(lambda: build_cnn(norm, dropout=0.0, l1=0.001, l2=0.0005, blocks=1), 2)
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


def test_dropout_within_a_model() -> None:
    inputs = keras.Input((6, 6, 8))
    model = speed_up(keras.Model(inputs, keras.layers.Dropout(0.25, seed=3)(inputs)), 2)
    x: np.ndarray = np.ones((501, 6, 6, 8), "float32")
    first, second = (np.asarray(model(x, training=True)) for _ in range(2))
    for y in (first, second):
        assert abs((y == 0).mean() - 0.25) < 0.005
        assert abs(y.mean() - 1) < 0.01
    assert 0.3 < ((first == 0) != (second == 0)).mean() < 0.45  # 2 * 0.25 * 0.75: other masks each time
    np.testing.assert_array_equal(model(x, training=False), x)


def test_dropout_that_is_left_to_keras() -> None:
    """A noise shape, and a rate too small for bytes."""
    x: np.ndarray = np.ones((64, 5, 40), "float32")
    shaped = keras.layers.Dropout(0.5, noise_shape=(None, 1, None))
    small = keras.layers.Dropout(0.001)
    inputs = keras.Input((5, 40))
    speed_up(keras.Model(inputs, [shaped(inputs), small(inputs)]))
    dropped = np.asarray(shaped(x, training=True)) == 0
    assert (dropped == dropped[:, :1]).all()
    assert 0.4 < dropped.mean() < 0.6
    y = np.asarray(small(x, training=True))
    np.testing.assert_allclose(y[y > 0], 1 / 0.999, rtol=1e-6, atol=0)


def batch_model(layer: Any) -> keras.Model:
    inputs = keras.Input((6, 5, 4))
    return keras.Model(inputs, layer(inputs))


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
def test_what_needs_the_whole_batch_takes_it_whole(layer: Any) -> None:
    inputs = keras.Input((6, 5, 4))
    outputs = layer([inputs, inputs]) if isinstance(layer, keras.layers.Concatenate) else layer(inputs)
    model = speed_up(keras.Model(inputs, outputs), 2)
    assert "call" not in model.__dict__


def test_frozen_batch_normalization_is_left_frozen() -> None:
    stock, fast = pair(cnn("bn"), 2)
    x, y = images((8, 28, 28, 1))
    for model in (stock, fast):
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    expected, got = step(stock, x, y), step(fast, x, y)
    for (name, value), ours in zip(expected.items(), got.values(), strict=True):
        np.testing.assert_allclose(ours, value, rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(fast.get_layer("norm0").moving_mean, np.zeros(16))


def test_subclasses_and_other_models() -> None:
    """A subclass of a layer keeps its own call; a Sequential model and a subclassed one are sped up too."""

    class Mine(keras.layers.BatchNormalization):
        pass

    inputs = keras.Input((6, 6, 4))
    model = speed_up(keras.Model(inputs, Mine()(inputs)), 2)
    assert not is_fast(model)

    sequential = keras.Sequential([keras.Input((6, 6, 4)), keras.layers.GroupNormalization(2)])
    x = np.random.default_rng(0).normal(size=(5, 6, 6, 4)).astype("float32")
    expected = np.asarray(sequential(x))
    speed_up(sequential, 2)
    assert "call" in sequential.__dict__
    np.testing.assert_allclose(sequential(x), expected, rtol=1e-4, atol=1e-5)

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.norm = keras.layers.GroupNormalization(2)

        def call(self, inputs: Any) -> Any:
            return self.norm(inputs)

    own = Own()
    expected = np.asarray(own(x))
    speed_up(own, 2)
    assert "call" in own.norm.__dict__
    np.testing.assert_allclose(own(x), expected, rtol=1e-4, atol=1e-5)


def test_the_saved_model_is_stock_and_restore_undoes(tmp_path: Path) -> None:
    stock, fast = pair(residual("gn"), 2)
    fast.save(tmp_path / "fast.keras")
    loaded = keras.models.load_model(tmp_path / "fast.keras")
    assert not is_fast(loaded)
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in stock.layers]
    x, _ = images((4, 10, 9, 3))
    np.testing.assert_allclose(loaded(x), stock(x), rtol=1e-5, atol=1e-6)
    assert not is_fast(restore(fast))
    assert not is_fast(restore(stock))
    np.testing.assert_array_equal(fast(x, training=True), stock(x, training=True))


def test_a_gpu_or_another_backend_keeps_the_stock_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"] if kind == "GPU" else [])
    assert not is_fast(speed_up(build_cnn("bn"), 2))
    assert set_threads() == 1
    monkeypatch.undo()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert not is_fast(speed_up(build_cnn("bn"), 2))
    assert set_threads() == 1


def test_set_threads_in_a_fresh_process_and_a_running_one() -> None:
    tf.constant(0)  # TensorFlow runs here, with other settings
    assert set_threads() == 1
    program = (
        "import os, tensorflow as tf\n"
        "from kerasnorm.fast import set_threads\n"
        "os.sched_getaffinity = lambda pid: set(range(6))\n"
        "t = tf.config.threading\n"
        "print(set_threads(), t.get_intra_op_parallelism_threads(), t.get_inter_op_parallelism_threads())\n"
        "tf.constant(0)\n"
        "print(set_threads())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["4", "1", "4", "4"], done.stderr


@pytest.mark.parametrize(("steps", "expected"), [(1, 1), (469, 7), (100, 25), (30000, 30), (31, 31), (37, 1)])
def test_steps_per_execution_divides_the_epoch(steps: int, expected: int) -> None:
    assert steps_per_execution(steps) == expected


def test_no_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="parts: expected 1 or more, got 0"):
        speed_up(build_cnn("bn"), 0)
