from typing import Any

import keras
import numpy as np
import pytest

from export.parity.evaluate import Evaluator, ReferenceEvaluator, find_heads
from export.precision import NotExact
from tests.export.helpers import functional, randomize

L = keras.layers
X = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)


def softmax(z: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize(
    "end",
    [
        lambda x: L.Dense(4, activation="softmax", name="last")(x),
        lambda x: L.Softmax()(L.Dense(4, name="last")(x)),
        lambda x: L.Activation("softmax")(L.Dense(4, name="last")(x)),
        lambda x: keras.ops.softmax(L.Dense(4, name="last")(x)),
        lambda x: keras.Sequential([L.Dense(4, activation="softmax", name="last")])(x),
        lambda x: L.Reshape((2, 2))(L.Dense(4, activation="softmax", name="last")(x)),
    ],
)
def test_logits_are_what_goes_into_a_softmax(end: Any) -> None:
    inputs = keras.Input((6,))
    model = randomize(keras.Model(inputs, end(inputs)))
    evaluator = Evaluator(model)
    last = next(layer for layer in model._flatten_layers() if layer.name == "last")
    kernel, bias = (w.numpy().astype(np.float64) for w in last.weights)
    outputs, logits = evaluator([X])
    expected = X @ kernel + bias
    np.testing.assert_allclose(logits.reshape(3, 4), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs.reshape(3, 4), softmax(expected), rtol=1e-5, atol=1e-6)
    exact_outputs, exact_logits = evaluator.exactly([X])
    assert exact_logits.dtype == exact_outputs.dtype == np.float64
    np.testing.assert_allclose(exact_logits.reshape(3, 4), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(exact_outputs.reshape(3, 4), softmax(expected), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("activation", ["sigmoid", "log_softmax"])
def test_other_final_activations_have_logits(activation: str) -> None:
    model = functional((6,), L.Dense(4, activation=activation))
    assert list(find_heads(model)) == [0]
    assert model.layers[-1].activation is getattr(keras.activations, activation)
    outputs, logits = Evaluator(model)([X])
    np.testing.assert_allclose(outputs, getattr(keras.ops, activation)(logits), rtol=1e-6, atol=1e-6)
    assert model.layers[-1].activation is getattr(keras.activations, activation)


def test_argmax_has_logits() -> None:
    inputs = keras.Input((6,))
    model = randomize(keras.Model(inputs, keras.ops.argmax(L.Dense(4)(inputs), axis=-1)))
    classes, logits = Evaluator(model)([X])
    np.testing.assert_array_equal(classes, logits.argmax(-1))


def test_what_has_no_logits() -> None:
    inputs = keras.Input((6,))
    assert find_heads(functional((6,), L.Dense(4))) == {}
    assert find_heads(keras.Model(inputs, inputs * 2)) == {}
    # A shared layer has logits only where it is the last.
    shared = L.Dense(6, activation="sigmoid")
    model = keras.Model(inputs, [shared(shared(inputs)), L.Dense(2)(shared(inputs))])
    assert list(find_heads(model)) == [0]
    first, second, logits = Evaluator(randomize(model))([X])
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), first, rtol=1e-5, atol=1e-6)
    assert second.shape == (3, 2)


class Doubled(keras.Model):
    """A Functional model by its construction whose call computes something else."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return 2 * super().call(inputs, training=training, mask=mask)


def test_a_subclass_is_called() -> None:
    inputs = keras.Input((6,))
    model = Doubled(inputs, L.Dense(4, activation="softmax")(inputs))
    evaluator = Evaluator(model)
    [outputs] = evaluator([X])
    np.testing.assert_allclose(outputs.sum(-1), 2, rtol=1e-6, atol=0)
    assert evaluator.notes == [
        "logits were not compared: the model's call computes something else than its layers"
    ]
    [exact] = evaluator.exactly([X])
    assert exact.dtype == np.float64
    np.testing.assert_allclose(exact, outputs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_inputs_in_a_dict(names: str) -> None:
    inputs = {name: keras.Input((2,), name=name) for name in names}
    model = keras.Model(inputs, inputs["a"] - inputs["b"])
    arrays = [np.full((3, 2), ord(tensor.name), np.float32) for tensor in model.inputs]
    np.testing.assert_array_equal(Evaluator(model)(arrays)[0], -1)


def test_layers_that_train_do_not() -> None:
    inputs = keras.Input((6,))
    model = keras.Model(inputs, L.Dropout(0.5)(inputs, training=True))
    np.testing.assert_array_equal(Evaluator(model)([X])[0], X)


def test_state_is_not_changed() -> None:
    inputs = keras.Input(batch_shape=(3, 5, 2))
    model = keras.Model(inputs, L.LSTM(4, stateful=True)(inputs))
    x = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    evaluator = Evaluator(model)
    first = evaluator([x])[0]
    np.testing.assert_array_equal(evaluator([x])[0], first)
    np.testing.assert_allclose(evaluator.exactly([x])[0], first, rtol=1e-5, atol=1e-6)


def test_a_reference_is_evaluated_in_float64() -> None:
    model = functional((6,), L.Dense(4))
    reference = ReferenceEvaluator(
        model, lambda arrays: [keras.ops.convert_to_numpy(model.layers[-1](arrays[0]))]
    )
    kernel, bias = (w.numpy().astype(np.float64) for w in model.weights)
    assert reference([X])[0].dtype == np.float32
    np.testing.assert_allclose(reference.exactly([X])[0], X @ kernel + bias, rtol=1e-12, atol=1e-14)


class Insists(keras.layers.Layer):
    """Casts to float32 in the midst of its computation."""

    def call(self, x: Any) -> Any:
        return keras.ops.convert_to_tensor(x, "float32") * 2


class Fails(keras.layers.Layer):
    """Takes nothing but float32."""

    def call(self, x: Any) -> Any:
        if keras.backend.standardize_dtype(x.dtype) != "float32":
            raise TypeError("float32, please\nor else")
        return x


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Insists(name="mine"), r"layer 'mine' \(Insists\) insists on float32"),
        (Fails(), "a layer fails in float64: "),
    ],
)
def test_a_layer_that_insists_on_a_dtype(layer: Any, message: str) -> None:
    evaluator = Evaluator(functional((6,), layer, L.Dense(2)))
    evaluator([X])
    with pytest.raises(NotExact, match=message):
        evaluator.exactly([X])
