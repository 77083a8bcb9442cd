import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest

from export.parity.evaluate import Evaluator
from export.parity.oracle import Oracle
from export.precision import NotExact, in_precision
from tests.export.helpers import functional, randomize

L = keras.layers
X = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)


def exactly(model: keras.Model, *arrays: np.ndarray) -> np.ndarray:
    evaluator = Evaluator(model)
    evaluator(list(arrays))
    result = evaluator.exactly(list(arrays))[0]
    assert result.dtype == np.float64
    return result


def test_normalizations_against_the_formula_in_float64() -> None:
    x = np.random.default_rng(1).normal(3, 2, (4, 5, 6)).astype(np.float32)
    model = functional((5, 6), L.LayerNormalization(epsilon=1e-3))
    gamma, beta = (w.numpy().astype(np.float64) for w in model.weights)
    z = x.astype(np.float64)
    mean, variance = z.mean(-1, keepdims=True), z.var(-1, keepdims=True)
    # Keras' epsilon is a Python number; its float32 would differ by 5e-8 of itself.
    np.testing.assert_allclose(
        exactly(model, x), (z - mean) / np.sqrt(variance + 1e-3) * gamma + beta, rtol=1e-11, atol=1e-12
    )
    model = functional((5, 6), L.BatchNormalization(epsilon=1e-3))
    gamma, beta, mean, variance = (w.numpy().astype(np.float64) for w in model.weights)
    np.testing.assert_allclose(
        exactly(model, x), (z - mean) / np.sqrt(variance + 1e-3) * gamma + beta, rtol=1e-11, atol=1e-12
    )


class WithoutConfig(keras.layers.Layer):
    """A layer that can't be saved: state that is no variable, arguments that no get_config names."""

    def __init__(self, table: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.table, self.dense = table, L.Dense(3)

    def call(self, x: Any) -> Any:
        return self.dense(x) + self.table["shift"]


@pytest.mark.parametrize(
    "layers",
    [
        [WithoutConfig({"shift": np.ones(3)})],
        [keras.Sequential([L.Dense(5), keras.Sequential([L.Dense(4)])]), L.Dense(2)],
        [L.Reshape((3, 2)), L.TimeDistributed(keras.Sequential([keras.Input((2,)), L.Dense(4)]))],
        [L.Reshape((3, 2)), L.Bidirectional(L.GRU(3))],
        [L.Dense(4, dtype="mixed_float16"), L.Dense(3, dtype="float32")],
        [L.Dense(4, dtype="mixed_bfloat16"), L.Softmax(dtype="float32")],
        [L.Reshape((3, 2)), L.Masking(0.0), L.LSTM(3)],
    ],
)
def test_nested_wrapped_and_custom_layers(layers: list[Any]) -> None:
    model = functional((6,), *layers)
    computed = keras.ops.convert_to_numpy(keras.ops.cast(model(X, training=False), "float32"))
    is_half = any("mixed" in layer.dtype_policy.name for layer in model.layers)
    np.testing.assert_allclose(exactly(model, X), computed, rtol=0, atol=3e-2 if is_half else 1e-5)


def test_a_wrapped_model_is_not_rounded_at_its_border() -> None:
    inner = keras.Sequential([keras.Input((2,)), L.Dense(4)])
    model = functional((6,), L.Rescaling(1 / 3), L.Reshape((3, 2)), L.TimeDistributed(inner))
    kernel, bias = (w.numpy().astype(np.float64) for w in inner.weights)
    third = np.float64(np.float32(1 / 3))  # Keras makes a float32 of it before it is cast
    expected = X.reshape(3, 3, 2) * third @ kernel + bias
    np.testing.assert_allclose(exactly(model, X), expected, rtol=1e-12, atol=1e-14)


def test_adapted_preprocessing_layers() -> None:
    normalization = L.Normalization()
    normalization.adapt(X)
    z = X.astype(np.float64)
    np.testing.assert_allclose(
        exactly(functional((6,), normalization), X), (z - z.mean(0)) / z.std(0), rtol=1e-5, atol=1e-6
    )
    inputs = keras.Input((2,), dtype="int64")
    encoded = L.IntegerLookup(vocabulary=[7, 9], output_mode="multi_hot")(inputs)
    model = randomize(keras.Model(inputs, L.Dense(2)(encoded)))
    ids = np.array([[7, 9], [9, 5]])
    np.testing.assert_allclose(exactly(model, ids), model(ids).numpy(), rtol=1e-5, atol=1e-6)


def test_a_quantized_layer_rounds_in_float64_too() -> None:
    model = functional((6,), L.Dense(4))
    model.quantize("int8")
    layer, x = model.layers[1], X[:, :6].astype(np.float64)
    scale = 127 / (np.abs(x).max(-1, keepdims=True) + 1e-7)
    product = np.round(x * scale) @ layer.kernel.numpy().astype(np.float64)
    expected = product / (scale * layer.kernel_scale.numpy().astype(np.float64)) + layer.bias.numpy()
    np.testing.assert_allclose(exactly(model, X), expected, rtol=1e-12, atol=1e-14)
    assert layer.dtype_policy.name == "int8_from_float32"


def test_the_bias_of_a_float8_layer_is_rounded_as_in_float32() -> None:
    model = functional((6,), L.Dense(4))
    model.quantize("float8")
    bias = keras.ops.cast(keras.ops.cast(model.layers[1].bias, "bfloat16"), "float64")
    np.testing.assert_allclose(exactly(model, 0 * X)[0], bias, rtol=1e-12, atol=0)


def test_a_quantized_layer_in_bfloat16_has_no_float64() -> None:
    model = functional((6,), L.Dense(4, dtype="int8_from_mixed_bfloat16"))
    with (
        pytest.raises(NotExact, match="is quantized to int8 and computes in bfloat16"),
        in_precision(model, "float64"),
    ):
        pass


def test_how_far_outputs_move() -> None:
    model = functional((6,), L.Rescaling(3.0))
    evaluator = Evaluator(model)
    outputs = evaluator([X])
    exact = Oracle(model, evaluator).movement([X], outputs, 1e-3)
    np.testing.assert_allclose(exact, 3e-3 * np.abs(X).max(), rtol=1e-3, atol=0)


class Insists(keras.layers.Layer):
    """Computes in float32 whatever it is given."""

    def call(self, x: Any) -> Any:
        return keras.ops.convert_to_tensor(keras.ops.convert_to_tensor(x, "float32") * 2, "float32")


def test_the_estimate_where_there_is_no_float64() -> None:
    model = functional((6,), L.Dense(5), Insists(name="mine"), L.Dense(4))
    evaluator = Evaluator(model)
    outputs = evaluator([X])
    oracle = Oracle(model, evaluator)
    truth, errors = oracle.truth([X], outputs)
    assert truth is outputs
    assert oracle.name == (
        "Keras in its own precision, give or take its rounding, since layer 'mine' (Insists) insists on float32"
    )
    # Of the size of rounding: some units in the last place.
    size = float(np.sqrt(np.mean(np.square(outputs[0]))))
    assert 1 < errors[0] / size * 2**23 < 100


def test_errors_of_other_precisions_are_those_of_float32() -> None:
    model = functional((6,), L.Dense(5, dtype="float16"), L.Dense(4, dtype="mixed_bfloat16"))
    evaluator = Evaluator(model)
    outputs = evaluator([X])
    oracle = Oracle(model, evaluator)
    in_float32 = oracle.in_float32([X], outputs)
    [exact], errors = oracle.truth([X], in_float32)
    assert errors == [0.0]
    assert in_float32[0].dtype == np.float32
    np.testing.assert_allclose(in_float32[0], exact, rtol=1e-5, atol=1e-6)
    assert np.abs(outputs[0].astype(np.float64) - exact).max() > 1e-3


def test_float32_is_the_truth_where_a_layer_of_a_half_precision_model_insists_on_it() -> None:
    model = functional((6,), L.Dense(5, dtype="mixed_float16"), Insists(name="mine"), L.Dense(4))
    evaluator = Evaluator(model)
    outputs = evaluator([X])
    oracle = Oracle(model, evaluator)
    in_float32 = oracle.in_float32([X], outputs)
    truth, errors = oracle.truth([X], in_float32)
    assert truth is in_float32
    assert oracle.name.startswith("Keras in float32, give or take its rounding, since layer 'mine'")
    size = float(np.sqrt(np.mean(np.square(truth[0]))))
    assert 1 < errors[0] / size * 2**23 < 100


class InsistsOnHalf(keras.layers.Layer):
    """Computes in float16 whatever it is given."""

    def call(self, x: Any) -> Any:
        return keras.ops.convert_to_tensor(x, "float16") * 2


def test_a_layer_that_insists_on_float16_is_judged_by_the_rounding_of_float16() -> None:
    model = functional((6,), L.Dense(5, dtype="float16"), InsistsOnHalf(), L.Dense(4, dtype="float16"))
    evaluator = Evaluator(model)
    outputs = evaluator([X])
    oracle = Oracle(model, evaluator)
    assert oracle.in_float32([X], outputs) is outputs
    truth, errors = oracle.truth([X], outputs)
    assert truth is outputs
    assert oracle.name.startswith("Keras in its own precision, give or take its rounding")
    size = float(np.sqrt(np.mean(np.square(truth[0].astype(np.float64)))))
    assert 1 < errors[0] / size * 2**10 < 100


SCRIPT = """
import keras, numpy as np
from export.parity.evaluate import Evaluator
x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32")
i = keras.Input((8, 8, 2))
h = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, activation="gelu")(i))
m = keras.Model(i, keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(h)))
e = Evaluator(m)
outputs, logits = e([x])
exact, exact_logits = e.exactly([x])
assert exact.dtype == exact_logits.dtype == np.float64, exact.dtype
assert 0 < np.abs(exact_logits - logits).max() < 1e-5
assert np.abs(exact.sum(-1) - 1).max() < 1e-14
assert m.layers[1].compute_dtype == "float32" and e([x])[0].dtype == np.float32
print(keras.backend.backend())
"""


@pytest.mark.slow
def test_another_backend() -> None:
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "jax"
