"""Models in float16, bfloat16, float64 and mixed precision: the graph is as exact as float32."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from export.convert import Options, convert
from export.errors import CheckError
from export.load import load_model
from export.parity import Parity, check_parity
from export.runtime import open_session
from tests.export.helpers import functional, randomize, run

L = keras.layers
POLICIES = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")
ONNX_DTYPES = {"float16": "float16", "bfloat16": "float32", "float32": "float32", "float64": "float64"}


@keras.saving.register_keras_serializable("tests")
class Casts(keras.layers.Layer):
    """A custom layer as people write it: casts to the compute dtype, and to float32 for a softmax."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x: Any) -> Any:
        x = keras.ops.cast(x, self.compute_dtype) * keras.ops.cast(self.scale, self.compute_dtype)
        return keras.ops.cast(keras.ops.softmax(keras.ops.cast(x, "float32")), self.compute_dtype)


class WithoutAutocast(keras.layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.dense = L.Dense(4)

    def call(self, x: Any) -> Any:
        return self.dense(x)


def cnn() -> keras.Model:
    return functional(
        (8, 8, 3),
        L.Rescaling(1 / 255),
        L.Normalization(mean=[0.1, 0.2, 0.3], variance=[2.0, 1.0, 0.5]),
        L.Conv2D(4, 3, padding="same"),
        L.BatchNormalization(),
        L.ReLU(),
        L.SeparableConv2D(4, 3, activation="gelu"),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dense(6),
        L.Softmax(dtype="float32"),
    )


def transposed() -> keras.Model:
    return functional(
        (6, 6, 3),
        L.Conv2D(4, 3, strides=2, padding="same"),
        L.Conv2DTranspose(4, 3, strides=2, padding="same"),
        L.UpSampling2D(interpolation="bilinear"),
        L.DepthwiseConv2D(3, activation="sigmoid"),
    )


def normalized() -> keras.Model:
    rms = [L.RMSNormalization()] if hasattr(L, "RMSNormalization") else []
    return functional(
        (6, 6, 4),
        L.LayerNormalization(),
        L.Conv2D(4, 3, activation="relu"),
        L.GroupNormalization(2),
        L.Conv2D(4, 1),
        L.GroupNormalization(-1),
        *rms,
        L.UnitNormalization(),
        L.Dense(3),
    )


def recurrent() -> keras.Model:
    def layer(kind: Any, units: int) -> Any:
        return kind(units, return_sequences=True, recurrent_initializer="glorot_uniform")  # no QR in bfloat16

    ids = keras.Input((None,), dtype="int32")
    x = L.Embedding(20, 8, mask_zero=True)(ids)
    x = L.Bidirectional(layer(L.LSTM, 4))(x)
    x = layer(L.GRU, 5)(x)
    return randomize(keras.Model(ids, L.Dense(3, activation="softmax")(L.GlobalAveragePooling1D()(x))))


def transformer() -> keras.Model:
    ids = keras.Input((6,), dtype="int32")
    x = L.Embedding(20, 8, mask_zero=True)(ids) + L.Embedding(6, 8)(keras.ops.arange(6))
    x = L.LayerNormalization(epsilon=1e-6)(x + L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    return randomize(keras.Model(ids, L.Dense(3, activation="softmax")(L.Dense(8, activation="gelu")(x))))


def custom() -> keras.Model:
    return functional(
        (6,), L.Dense(8, activation="relu"), Casts(), WithoutAutocast(), L.Dense(3, dtype="float32")
    )


def operations() -> keras.Model:
    ops = keras.ops
    inputs = keras.Input((6,))
    x = ops.matmul(ops.tanh(L.Dense(4)(inputs) * 0.5 + 1), np.ones((4, 3), "float32"))
    x = ops.where(x > 0.5, x, ops.cast(x, "float16"))
    return randomize(keras.Model(inputs, [L.Dense(2)(x), ops.argmax(x, -1), ops.cast(x, "float32")]))


def trained_with_scaled_loss() -> keras.Model:
    model = functional((6,), L.Dense(8, activation="relu"), L.Dense(3))
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    model.compile(optimizer, "mse", run_eagerly=True)
    model.fit(np.ones((4, 6), "float32"), np.ones((4, 3), "float32"), verbose=0)
    return model


MODELS = [
    *(cnn, transposed, normalized, recurrent, transformer, custom, operations),
    trained_with_scaled_loss,
]
# A policy for each model by default; all of them are slow.
DEFAULT = {(model, POLICIES[index % 5]) for index, model in enumerate(MODELS)} | {(cnn, "float64")}


def with_policy(policy: str, build: Any) -> keras.Model:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)


def check(model: keras.Model) -> Parity:
    """Check a conversion, and that what is allowed is the rounding of float32."""
    conversion = convert(model)
    assert conversion.route == "direct"
    parity = check_parity(model, conversion, quick=True)
    assert parity.passed, parity.table()
    assert parity.oracle == "Keras in float64"
    assert all(d.allowance <= 1e-4 * d.size for d in parity.differences), parity.table()
    session = open_session(conversion.model.SerializeToString())
    for value, output in zip(session.get_outputs(), keras.tree.flatten(model.outputs), strict=True):
        if "float" in output.dtype:
            name = {"float": "float32", "double": "float64"}.get(value.type[7:-1], value.type[7:-1])
            assert name == ONNX_DTYPES[output.dtype]
    return parity


@pytest.mark.parametrize(
    ("build", "policy"),
    [
        pytest.param(
            build,
            policy,
            marks=[] if (build, policy) in DEFAULT else pytest.mark.slow,
            id=f"{build.__name__} {policy}",
        )
        for build in MODELS
        for policy in POLICIES
    ],
)
def test_a_policy(build: Any, policy: str) -> None:
    parity = check(with_policy(policy, build))
    assert policy in parity.keras_dtypes
    assert (
        f"computed in float32 (Keras: {', '.join(parity.keras_dtypes)}, whose own results are"
        in parity.table()
    )


def test_policies_layer_by_layer_survive_a_file(tmp_path: Path) -> None:
    model = functional(
        (8, 8, 3),
        L.Conv2D(4, 3, dtype="mixed_float16"),
        L.BatchNormalization(dtype="float32"),
        L.Conv2D(4, 3, dtype="float16", activation="tanh"),
        L.LayerNormalization(dtype="bfloat16"),
        L.Conv2D(3, 3, dtype=keras.DTypePolicy("mixed_bfloat16")),
        L.Flatten(),
        Casts(dtype="mixed_float16"),
        L.Dense(3, dtype="float64"),
        L.Dense(2, dtype="float32"),
    )
    model.save(tmp_path / "model.keras")
    parity = check(load_model(tmp_path / "model.keras"))
    assert parity.keras_dtypes == ["bfloat16", "float16", "float64", "mixed_bfloat16", "mixed_float16"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_inputs_and_outputs_of_a_dtype(dtype: str) -> None:
    x = keras.Input((4,), dtype=dtype)
    outputs = [x * 2, keras.ops.cast(x, "float32"), keras.ops.cast(L.Dense(3)(x), dtype)]
    check(randomize(keras.Model(x, [*outputs, L.Dense(3, activation="softmax", dtype=dtype)(x)])))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs Keras on TensorFlow")
@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_a_layer_that_tf2onnx_converts(policy: str) -> None:
    import tensorflow as tf

    class Normalizes(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.math.l2_normalize(tf.nn.relu(x) + 0.3, -1)

    model = with_policy(policy, lambda: functional((6,), L.Dense(5), Normalizes(), L.Dense(3)))
    conversion = convert(model)
    assert conversion.route == "mixed"
    parity = check_parity(model, conversion, quick=True)
    assert parity.passed, parity.table()
    assert all(d.allowance <= 1e-4 * d.size for d in parity.differences), parity.table()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs Keras on TensorFlow")
@pytest.mark.parametrize(
    "policy", ["float64", *(pytest.param(x, marks=pytest.mark.slow) for x in POLICIES[:-1])]
)
def test_a_model_that_tf2onnx_converts(policy: str) -> None:
    model = with_policy(
        policy,
        lambda: functional((6,), L.Dense(5, activation="relu"), L.BatchNormalization(), L.Dense(3)),
    )
    conversion = convert(model, Options(route="tf2onnx"))
    parity = check_parity(model, conversion, quick=True)
    assert parity.passed, parity.table()
    assert all(d.allowance <= 1e-4 * d.size for d in parity.differences), parity.table()


def test_what_leaves_the_range_of_float16_is_infinite_there_alone() -> None:
    model = functional(
        (4,), L.Rescaling(1e6, dtype="mixed_float16"), L.Rescaling(1e-6, dtype="mixed_float16")
    )
    parity = check(model)
    assert "whose own results are not always finite numbers" in parity.table()
    large = keras.Model(model.inputs, model.layers[1].output)
    [got] = run(convert(large), np.full((1, 4), 0.5, "float32"))
    assert got.dtype == np.float16
    assert np.isinf(got).all()


def test_a_fault_of_the_size_of_float16_rounding_is_found() -> None:
    model = functional((6,), L.Dense(5, dtype="mixed_float16"), L.Dense(4, dtype="float32"))
    conversion = convert(model)
    [kernel] = [w for w in conversion.model.graph.initializer if tuple(w.dims) == (5, 4)]
    array = np.frombuffer(kernel.raw_data, np.float32)
    kernel.raw_data = (array * np.float32(1 + 1e-4)).tobytes()
    assert not check_parity(model, conversion, quick=True).passed


def test_a_model_that_needs_float64_is_refused() -> None:
    model = functional((4,), L.Dense(3, dtype="float64"), L.Dense(2, dtype="float64"))
    first, second = model.layers[1:]
    first.bias.assign(np.full(3, 1e9))
    second.bias.assign(-1e9 * second.kernel.numpy().sum(0))
    with pytest.raises(
        CheckError, match="expected a float64 model that can be computed in float32, but Keras"
    ):
        check_parity(model, convert(model))
