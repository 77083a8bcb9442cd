"""A batch in parts gives the results of the whole batch, or is not split."""

import functools
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kerasnorm import build_cnn
from kerasnorm.speed import restore, speed_up, steps_per_execution
from kerasnorm.speed.partition import whole_reason

from .helpers import (
    Builder,
    as_numpy,
    assert_same,
    cnn,
    images,
    outcome,
    randomized,
    residual,
    step,
    takes_rate_one,
    twins,
)

# Model, normalization, batch size, parts. The last batch has fewer images than parts.
CASES = [
    *(
        (cnn, "bn", 13, 2),
        (cnn, "ln", 7, 2),
        (cnn, "gn", 7, 2),
        (residual, "bn", 13, 3),
        (residual, "bn", 2, 3),
    ),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            (cnn, "bn", 13, 1),
            *((residual, "bn", 13, parts) for parts in (1, 2)),
            *((residual, "gn", 13, parts) for parts in (1, 2, 3)),
        )
    ),
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


def small(
    *middle: Any, dtype: str = "float32", training: bool | None = None, nested: bool | None = None
) -> Callable[[], keras.Model]:
    """A builder of a model with a nested one, a normalization, and the layers that the functions in `middle` make.

    Args:
        middle: functions without arguments, each returns a layer.
        dtype: dtype of the input.
        training: `training` that is recorded for the normalization.
        nested: `training` that is recorded for the nested model.
    """

    def build() -> keras.Model:
        inputs = keras.Input((5, 4), dtype=dtype)
        x = layers.BatchNormalization(epsilon=0.01)(
            inputs, **({} if training is None else {"training": training})
        )
        for make in middle:
            x = make()(x)
        inner_inputs = keras.Input((5, 4))
        inner = keras.Model(
            inner_inputs, layers.BatchNormalization(epsilon=0.01)(layers.Dense(4)(inner_inputs))
        )
        x = inner(x, **({} if nested is None else {"training": nested}))
        return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))

    return build


def mixing(x: Any) -> Any:
    return x - keras.ops.mean(x, axis=0)


def two_inputs(as_dict: bool) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        first, second = keras.Input((4,), name="z"), keras.Input((4,), name="a")
        x = layers.Add()([layers.Dense(4)(first), layers.BatchNormalization()(second)])
        return keras.Model({"z": first, "a": second} if as_dict else [first, second], x)

    return build


def nested_dict() -> keras.Model:
    first, second = keras.Input((4,), name="z"), keras.Input((4,), name="a")
    inner = keras.Model({"z": first, "a": second}, layers.Subtract()([layers.Dense(4)(first), second]))
    inputs = keras.Input((4,))
    return keras.Model(inputs, inner({"a": layers.BatchNormalization()(inputs), "z": inputs}))


def outputs_in(wrap: Callable[[Any, Any], Any]) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        inputs = keras.Input((4,))
        x = layers.BatchNormalization()(inputs)
        return keras.Model(inputs, wrap(x, layers.Dense(2)(x)))

    return build


def sparse() -> keras.Model:
    inputs = keras.Input((4,), sparse=True)
    return keras.Model(inputs, layers.BatchNormalization()(layers.Dense(4)(inputs)))


def with_constant() -> keras.Model:
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Add()([layers.BatchNormalization()(inputs), tf.ones((6, 4))]))


def rematerialized() -> keras.Model:
    with keras.RematScope("full"):
        inputs = keras.Input((5, 4))
        x = layers.BatchNormalization()(layers.GroupNormalization(2)(inputs))
        return keras.Model(inputs, x)


def masked() -> keras.Model:
    inputs = keras.Input((5, 4))
    return keras.Model(inputs, layers.BatchNormalization()(layers.Masking()(inputs)))


class Doubled(keras.Model):
    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return 2 * super().call(inputs, training=training, mask=mask)


class DoubledSequential(keras.Sequential):
    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return 2 * super().call(inputs, training=training, mask=mask)


def subclass() -> keras.Model:
    inputs = keras.Input((4,))
    return Doubled(inputs, layers.BatchNormalization()(inputs))


def sequential_subclass() -> keras.Model:
    return DoubledSequential([keras.Input((4,)), layers.BatchNormalization()])


X = np.random.default_rng(0).normal(0.5, 1, (6, 5, 4)).astype("float32")
ROW = X[:, 0]

# Name: builder, inputs, a pattern of why the batch stays whole ("" if it goes in parts). Keras 3.8 records conversions
# between dtypes as an operation of its own, Cast.
KINDS: dict[str, tuple[Callable[[], keras.Model], Any, str]] = {
    "plain": (small(), X, ""),
    "recorded training=True": (small(training=True), X, ""),
    "recorded training=False": (small(training=False), X, ""),
    "nested model with training=True": (small(nested=True), X, ""),
    "nested model with training=False": (small(nested=False), X, ""),
    "float16 input": (small(dtype="float16"), X.astype("float16"), "its input is not one float32|Cast"),
    "bfloat16 input": (small(dtype="bfloat16"), X, "its input is not one float32|Cast"),
    "float64 input": (small(dtype="float64"), X.astype("float64"), "its input is not one float32|Cast"),
    "uint8 input": (small(dtype="uint8"), abs(9 * X).astype("uint8"), "its input is not one float32|Cast"),
    "float64 given to a float32 input": (small(), X.astype("float64"), ""),
    "float64 layer": (small(lambda: layers.Dense(4, dtype="float64")), X, "converts its input|Cast"),
    "mixed_bfloat16": (
        small(lambda: layers.BatchNormalization(dtype="mixed_bfloat16")),
        X,
        "computes in bfloat16",
    ),
    "softmax over axis 0": (small(lambda: layers.Softmax(axis=0)), X, "its axis is that of the batch"),
    "softmax over axis -3": (small(lambda: layers.Softmax(axis=-3)), X, "its axis is that of the batch"),
    "activation that mixes": (
        small(lambda: layers.Activation(mixing)),
        X,
        "its activation is not a known one",
    ),
    "dense activation that mixes": (
        small(lambda: layers.Dense(4, mixing)),
        X,
        "its activation is not a known one",
    ),
    "scale with a batch axis": (
        small(lambda: layers.Rescaling(np.arange(6.0, dtype="float32").reshape(6, 1, 1))),
        X,
        "its scale or offset may have a batch axis",
    ),
    "dropout of rate 1": (small(lambda: layers.Dropout(1.0 if takes_rate_one() else 0.0)), X, ""),
    "list inputs": (two_inputs(False), [ROW, 2 * ROW], "has 2 inputs"),
    "dict inputs in another order": (two_inputs(True), {"a": ROW, "z": 2 * ROW}, "has 2 inputs"),
    "dict inputs in order": (two_inputs(True), {"z": 2 * ROW, "a": ROW}, "has 2 inputs"),
    "dict for list inputs": (two_inputs(False), {"a": ROW, "z": 2 * ROW}, "has 2 inputs"),
    "nested dict inputs": (nested_dict, ROW, "has 2 inputs"),
    "inputs whose batches differ": (two_inputs(False), [ROW, ROW[:1]], "has 2 inputs"),
    "list of one output": (outputs_in(lambda x, y: [x]), ROW, ""),
    "list of a list of one output": (outputs_in(lambda x, y: [[x]]), ROW, ""),
    "dict outputs": (outputs_in(lambda x, y: {"z": x, "a": y}), ROW, ""),
    "nested outputs": (outputs_in(lambda x, y: (y, [x, {"b": y}])), ROW, ""),
    "an output twice": (outputs_in(lambda x, y: [x, x]), ROW, ""),
    "call with a constant": (with_constant, ROW, "is called with a constant"),
    "mask": (masked, X, "may mix the images"),
    "subclass with a call": (subclass, ROW, "is not Keras' own"),
    "sequential subclass with a call": (sequential_subclass, ROW, "is not Keras' own"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_why_a_batch_stays_whole(kind: str) -> None:
    build, _, reason = KINDS[kind]
    model = build()
    speed_up(model, 2)
    assert re.search(reason, whole_reason(model) or "")
    assert ("call" in vars(model)) == (not reason)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind, marks=pytest.mark.slow if reason else ()
        )  # a batch that stays whole takes no new path
        for kind, (_, _, reason) in KINDS.items()
    ],
)
def test_each_kind_of_model_equals_stock(kind: str) -> None:
    build, inputs, _ = KINDS[kind]
    stock, fast = twins(build)
    speed_up(fast, 2)
    for training in (True, None):
        expected = outcome(stock, inputs, training)
        assert_same(outcome(fast, inputs, training), expected, 1e-3)
    in_inference = [keras.tree.flatten(model(inputs, training=False)) for model in (fast, stock)]
    for ours, theirs in zip(*in_inference, strict=True):
        np.testing.assert_allclose(as_numpy(ours), as_numpy(theirs), rtol=1e-4, atol=1e-5)


def test_sparse_input_stays_whole() -> None:
    stock, fast = twins(sparse)
    speed_up(fast, 2)
    x = tf.sparse.from_dense(tf.constant(ROW * (ROW > 0)))
    np.testing.assert_allclose(fast(x, training=True), stock(x, training=True), rtol=1e-5, atol=1e-6)
    assert "sparse" in str(whole_reason(fast))


@pytest.mark.skipif(not hasattr(keras, "RematScope"), reason="Keras has no rematerialization")
def test_rematerialized_model_stays_stock() -> None:
    stock, fast = twins(rematerialized)
    speed_up(fast, 2)
    assert "rematerialized" in str(whole_reason(fast))
    results = []
    for model in (stock, fast):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(X, training=True) ** 3)
        results.append(tape.gradient(loss, [weight.value for weight in model.trainable_weights]))
    for ours, expected in zip(results[1], results[0], strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_layers_that_are_added_later_are_seen() -> None:
    def build() -> keras.Sequential:
        return keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.BatchNormalization()])

    stock, fast = twins(build)
    speed_up(fast, 2)
    for model in (stock, fast):
        model.add(layers.BatchNormalization())
    assert_same(outcome(fast, ROW, True), outcome(stock, ROW, True), 1e-4)
    for model in (stock, fast):
        model.add(layers.Activation(mixing))
    assert_same(outcome(fast, ROW, True), outcome(stock, ROW, True), 1e-4)


def test_layers_that_are_added_to_a_nested_model_are_seen() -> None:
    def build() -> keras.Model:
        inputs = keras.Input((4,))
        inner = keras.Sequential([keras.Input((4,)), layers.Dense(4)], name="inner")
        return keras.Model(inputs, layers.BatchNormalization()(inner(inputs)))

    stock, fast = twins(build)
    speed_up(fast, 2)
    for model in (stock, fast):
        model.get_layer("inner").add(layers.Softmax(axis=0))
    assert_same(outcome(fast, ROW, True), outcome(stock, ROW, True), 1e-4)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("activation", mixing),
        ("activity_regularizer", keras.regularizers.L2(0.1)),
        ("call", lambda x, training=None: mixing(x)),
    ],
)
def test_attributes_that_are_changed_later_are_seen(attribute: str, value: Any) -> None:
    def build() -> keras.Model:
        inputs = keras.Input((4,))
        return keras.Model(inputs, layers.BatchNormalization()(layers.Dense(4, name="dense")(inputs)))

    stock, fast = twins(build)
    speed_up(fast, 2)
    for model in (stock, fast):
        setattr(model.get_layer("dense"), attribute, value)
    assert_same(outcome(fast, ROW, True), outcome(stock, ROW, True), 1e-4)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_batches_smaller_than_the_parts_equal_stock(size: int, dynamic: bool) -> None:
    def build() -> keras.Model:
        inputs = keras.Input((5, 4))
        x = layers.BatchNormalization(epsilon=0.01)(layers.Dense(4, "tanh")(inputs))
        return keras.Model(inputs, [x, layers.Dense(3)(layers.BatchNormalization(epsilon=0.01)(x))])

    stock, fast = twins(build)
    speed_up(fast, 4)
    results = []
    for model in (stock, fast):
        signature = [tf.TensorSpec((None if dynamic else size, 5, 4), tf.float32)]

        @tf.function(input_signature=signature)
        def run(x: Any) -> Any:
            return model(x, training=True)  # noqa: B023, called in this turn of the loop

        outputs = run(tf.constant(X[:size]))
        statistics = [weight for weight in model.non_trainable_weights if "moving" in weight.path]
        results.append([as_numpy(value) for value in (*outputs, *statistics)])
    for ours, expected in zip(results[1], results[0], strict=True):
        assert ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_second_derivatives_of_a_model_equal_stock(norm: str, parts: int) -> None:
    """The gradient of a gradient penalty, as in a WGAN-GP."""

    def build() -> keras.Model:
        inputs = keras.Input((6, 5, 4))
        x = layers.Conv2D(4, 3, activation="tanh")(inputs)
        x = layers.BatchNormalization()(x) if norm == "bn" else layers.GroupNormalization(2)(x)
        return keras.Model(
            inputs, layers.Dense(1)(layers.GlobalAveragePooling2D()(layers.Activation("tanh")(x)))
        )

    x = tf.constant(np.random.default_rng(0).normal(size=(6, 6, 5, 4)), tf.float32)
    results: list[Any] = []
    for model in twins(build):
        if results:
            speed_up(model, parts)

        @tf.function
        def penalty(model: Any) -> Any:
            weights = [weight.value for weight in model.trainable_weights]
            with tf.GradientTape() as outer:
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    outputs = model(x, training=True)
                loss = tf.reduce_sum(inner.gradient(outputs, x) ** 2)
            return outer.gradient(loss, weights, unconnected_gradients="zero")

        results.append(penalty(model))
    scale = max(abs(value.numpy()).max() for value in results[0])
    for ours, expected in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4 * scale)


def test_dropout_in_parts_draws_a_mask_for_each_part() -> None:
    inputs = keras.Input((40,))
    model = speed_up(keras.Model(inputs, layers.Dropout(0.5)(inputs)), 2)
    first, second = np.split(np.asarray(model(np.ones((8, 40), "float32"), training=True)), 2)
    assert 0.3 < ((first == 0) != (second == 0)).mean() < 0.7
