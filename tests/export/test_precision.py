from typing import Any

import keras
import numpy as np
import pytest

from export.precision import NotExact, evaluate_in, in_precision, other_policies
from tests.export.helpers import functional

L = keras.layers
X = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)


def test_all_is_undone() -> None:
    inner = keras.Sequential([keras.Input((6,)), L.Dense(3)], name="inner")
    model = functional((6,), inner, L.Dense(2, dtype="mixed_float16"))
    before = model(X).numpy()
    with in_precision(model, "float64"):
        assert {layer.compute_dtype for layer in model.layers} == {"float64"}
        assert inner.inputs[0].dtype == "float64"
    with pytest.raises(ValueError, match="a failure within"), in_precision(model, "float64"):
        raise ValueError("a failure within")
    assert [layer.compute_dtype for layer in model.layers] == ["float32", "float32", "float16"]
    assert inner.inputs[0].dtype == "float32"
    np.testing.assert_array_equal(model(X).numpy(), before)


def test_a_quantized_layer_has_no_float64() -> None:
    model = functional((6,), L.Dense(4))
    model.quantize("int8")
    with pytest.raises(NotExact, match="is quantized to int8"), in_precision(model, "float64"):
        pass


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs Keras on TensorFlow")
def test_functions_run_eagerly_in_float64_alone() -> None:
    # Compiled by XLA, as Keras has it, a grouped convolution takes 15 times as long in float64.
    import tensorflow as tf

    model = functional((6, 6, 4), L.Conv2D(4, 3, groups=4))
    with in_precision(model, "float64", eager=True):
        assert tf.config.functions_run_eagerly()
    assert not tf.config.functions_run_eagerly()


class Narrows(keras.layers.Layer):
    """Casts to a type of its own in the midst of its computation."""

    def call(self, x: Any) -> Any:
        return keras.ops.cast(keras.ops.cast(x, dtype="float16") / 3, self.compute_dtype)


def test_a_cast_to_another_float_does_not_round() -> None:
    model = functional((6,), Narrows())
    original = keras.ops.cast
    for dtype, rtol in (("float32", 1e-6), ("float64", 1e-14)):
        [got] = evaluate_in(dtype, model, lambda x: [keras.ops.convert_to_numpy(model(x[0]))], [X])
        assert got.dtype == dtype
        np.testing.assert_allclose(got, X.astype(np.float64) / 3, rtol=rtol, atol=0)
    assert keras.ops.cast is original
    assert np.abs(model(X) - X / 3).max() > 1e-5


def test_tensors_that_a_layer_keeps_are_cast() -> None:
    layer = L.Normalization(mean=0.1, variance=2.0, dtype="float16")
    model = functional((6,), layer)
    mean, variance = (
        keras.ops.convert_to_numpy(value).astype(np.float64) for value in (layer.mean, layer.variance)
    )
    [got] = evaluate_in("float64", model, lambda x: [keras.ops.convert_to_numpy(model(x[0]))], [X])
    np.testing.assert_allclose(got, (X - mean) / np.sqrt(variance), rtol=1e-14, atol=1e-15)
    assert keras.backend.standardize_dtype(layer.mean.dtype) == "float16"


def test_variables_have_other_values() -> None:
    model = functional((6,), L.Dense(4, dtype="float16"))
    kernel = np.random.default_rng(1).normal(size=(6, 4))
    before = [w.numpy() for w in model.weights]
    evaluate = evaluate_in(
        "float64",
        model,
        lambda x: [keras.ops.convert_to_numpy(model(x[0]))],
        [X],
        [(model.layers[-1].kernel, kernel)],
    )
    np.testing.assert_allclose(evaluate[0], X @ kernel + before[1], rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(model.weights[0].numpy(), before[0])


@pytest.mark.parametrize(
    ("layers", "policies"),
    [
        ([L.Dense(3)], []),
        ([L.Dense(3, dtype="mixed_float16"), L.Dense(2)], ["mixed_float16"]),
        ([L.Dense(3, dtype="float64"), L.ReLU(dtype="bfloat16")], ["bfloat16", "float64"]),
        ([keras.Sequential([L.Dense(3, dtype="float16")]), L.Dense(2)], ["float16"]),
    ],
)
def test_policies_of_a_model_that_are_not_float32(layers: list[Any], policies: list[str]) -> None:
    assert other_policies(functional((6,), *layers)) == policies
