"""Models with normalization layers, and one training step of them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasnorm import build_cnn

Builder = Callable[[], keras.Model]


def images(shape: tuple[int, ...], classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Random pixels of 0..255 in float32, and labels."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, shape).astype("float32"), rng.integers(0, classes, shape[0])


def step(model: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs, gradients and moving statistics of one training step in a compiled graph, as `fit` runs it."""

    @tf.function
    def run() -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, outputs))
            loss += tf.add_n(model.losses) if model.losses else 0.0
        return outputs, tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    outputs, gradients = run()
    named = {
        weight.path: gradient.numpy()
        for weight, gradient in zip(model.trainable_weights, gradients, strict=True)
    }
    moving = {
        weight.path: weight.numpy() for weight in model.non_trainable_weights if "moving" in weight.path
    }
    return {"outputs": outputs.numpy(), **named, **moving}


def outcome(model: keras.Model, inputs: Any, training: bool | None, dynamic: bool = False) -> dict[str, Any]:
    """All that a call computes: outputs and their structure, loss, gradients and the statistics after it.

    Args:
        model: any model.
        inputs: arrays in any structure.
        training: as in `model(inputs, training=training)`.
        dynamic: trace for any batch size.
    """

    def run(inputs: Any) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=training)
            loss = tf.add_n([tf.cast(value, "float32") for value in model.losses]) if model.losses else 0.0
            for index, output in enumerate(keras.tree.flatten(outputs)):
                loss += tf.reduce_mean((tf.cast(output, "float32") - 0.1 * (index + 1)) ** 2)
        return outputs, loss, tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    tensors = keras.tree.map_structure(tf.constant, inputs)
    if dynamic:
        specs = keras.tree.map_structure(lambda t: tf.TensorSpec((None, *t.shape[1:]), t.dtype), tensors)
        outputs, loss, gradients = tf.function(run, input_signature=[specs])(tensors)
    else:
        outputs, loss, gradients = tf.function(run)(tensors)
    return {
        "structure": keras.tree.map_structure(lambda t: (tuple(t.shape), t.dtype.name), outputs),
        "outputs": [as_numpy(output) for output in keras.tree.flatten(outputs)],
        "loss": [as_numpy(loss)],
        "gradients": [None if gradient is None else as_numpy(gradient) for gradient in gradients],
        "statistics": [
            as_numpy(weight) for weight in model.non_trainable_weights if "seed" not in weight.path
        ],
    }


def as_numpy(tensor: Any) -> np.ndarray:
    """In float64, whatever its dtype."""
    return np.asarray(keras.ops.convert_to_numpy(tensor), "float64")


def assert_same(ours: dict[str, Any], expected: dict[str, Any], rounding: float) -> None:
    """Two outcomes are equal to rounding, relative to the largest value among outputs, gradients or statistics."""
    assert ours["structure"] == expected["structure"]
    for kind in ("outputs", "loss", "gradients", "statistics"):
        scale = max(
            [np.nanmax(abs(value), initial=1e-3) for value in expected[kind] if value is not None], default=0
        )
        for got, value in zip(ours[kind], expected[kind], strict=True):
            if value is None:
                assert got is None
            else:
                np.testing.assert_allclose(got, value, rtol=rounding, atol=rounding * scale, err_msg=kind)


def takes_rate_one() -> bool:
    """Whether Keras' own Dropout takes a rate of 1 in training. Older versions raise a ValueError."""
    try:
        keras.layers.Dropout(1.0)(np.ones((1, 1), "float32"), training=True)
    except ValueError:
        return False
    return True


def cnn(norm: str, dtype: str = "float32") -> Builder:
    """The study's network without dropout, which draws different masks when it is fast."""
    return lambda: build_cnn(norm, dropout=0.0, l1=0.001, l2=0.0005, penalize="all", dtype=dtype)


def residual(norm: str, dtype: str = "float32") -> Builder:
    """Branches, a nested model, a layer that is used twice, and normalizations without gamma or without beta."""

    def build() -> keras.Model:
        def normalized(x: Any, **options: Any) -> Any:
            if norm == "bn":
                return keras.layers.BatchNormalization(momentum=0.7, epsilon=3e-3, **options)(x)
            return keras.layers.GroupNormalization(groups=3, epsilon=3e-3, **options)(x)

        previous_policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        try:
            inputs = keras.Input((10, 9, 3))
            x = keras.layers.Conv2D(6, 3, padding="same", activation="silu")(inputs)
            inner_inputs = keras.Input((10, 9, 6))
            shared = keras.layers.Conv2D(6, 3, padding="same")
            inner = keras.Model(inner_inputs, shared(normalized(shared(inner_inputs), center=False)))
            x = keras.layers.Add()([x, inner(x)])
            x = keras.layers.Activation("gelu")(normalized(x, scale=False))
            x = keras.layers.Concatenate()([x, keras.layers.AveragePooling2D(1)(x)])
            x = keras.layers.GlobalAveragePooling2D()(normalized(x))
            if norm == "bn":
                x = normalized(x)  # of rank 2
            return keras.Model(inputs, keras.layers.Dense(5, "softmax")(x))
        finally:
            keras.config.set_dtype_policy(previous_policy)

    return build


def randomized(build: Builder) -> keras.Model:
    """The model with every weight away from its initial value, and the same weights in each call."""
    keras.utils.set_random_seed(0)
    model = build()
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    return model


def twins(build: Builder) -> tuple[keras.Model, keras.Model]:
    """Two models of the same weights."""
    first, second = randomized(build), build()
    second.set_weights(first.get_weights())
    return first, second


def is_fast(model: keras.Model) -> bool:
    """Whether the model or one of its layers has a replaced `call`."""
    return "call" in vars(model) or any("call" in vars(layer) for layer in model.layers)
