"""Operations of keras.ops between layers, and custom layers traced into them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

from export.convert import Options, convert
from tests.export.helpers import converted, functional, kinds, randomize

NEWER = ("layer norm", "rms norm", "batch norm")  # the lowest Keras we take can't compute these
RNG = np.random.default_rng(5)
CHANNELS = RNG.uniform(0.5, 1.5, 4).astype("float32")
IMAGE = RNG.normal(size=(5, 6, 4)).astype("float32")
KERNEL = RNG.normal(size=(3, 3, 4, 2)).astype("float32")
CASES: dict[str, Callable[[Any], Any]] = {
    "add number": lambda x: x + 3.0,
    "number minus": lambda x: 2.0 - x,
    "channels": lambda x: (x - CHANNELS) / CHANNELS * CHANNELS + CHANNELS,
    "image": lambda x: x * IMAGE,
    "itself": lambda x: x * x - x,
    "gate": lambda x: x * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)),
    "row gate": lambda x: x * ops.mean(x, axis=(0, 1, 2)),
    "divide": lambda x: x / (ops.absolute(x) + 1.0),
    "number divided": lambda x: 1.0 / (ops.square(x) + 1.0),
    "power": lambda x: ops.power(ops.absolute(x) + 0.1, 1.5),
    "maximum": lambda x: ops.maximum(x, 0.3) + ops.minimum(x, CHANNELS),
    "unary": lambda x: ops.exp(x) + ops.sqrt(ops.abs(x)) + ops.log(ops.abs(x) + 1) - ops.negative(x),
    "round": lambda x: ops.floor(x * 3) + ops.ceil(x * 3) + ops.sign(x),
    "waves": lambda x: ops.sin(x) + ops.cos(x) + ops.arctan(x) + ops.tanh(x) + ops.erf(x),
    "rsqrt": lambda x: ops.rsqrt(ops.square(x) + 0.1) + ops.reciprocal(ops.square(x) + 1),
    "clip": lambda x: ops.clip(x, -0.5, 0.25),
    "where": lambda x: ops.where(x > 0.1, x, x * 0.1),
    "where channels": lambda x: ops.where(ops.logical_not(x >= CHANNELS), CHANNELS, x),
    "logic": lambda x: ops.cast(ops.logical_or(ops.logical_and(x > 0, x < 1), x != x), "float32") - x,
    "integers": lambda x: ops.cast(ops.cast(x * 4, "int32") + 2, "float32") * x,
    "not equal": lambda x: ops.where(ops.not_equal(ops.sign(x), 1), x, 2.0),
    "activations": lambda x: ops.relu(x) + ops.gelu(x) + ops.silu(x) + ops.softplus(x) + ops.elu(x, 0.7),
    "more activations": lambda x: ops.relu6(x * 4) + ops.hard_silu(x) + ops.leaky_relu(x, 0.3) + ops.selu(x),
    "softmax": lambda x: ops.softmax(x, axis=-1) + ops.softmax(x, axis=1) + ops.log_softmax(x),
    "mean": lambda x: ops.mean(x, axis=(1, 2)),
    "mean of channels": lambda x: ops.mean(x, axis=-1),
    "mean of rows": lambda x: ops.mean(x, axis=1),
    "sum": lambda x: ops.sum(x, axis=-1, keepdims=True) * x,
    "extremes": lambda x: ops.max(x, axis=2) - ops.min(x, axis=2) + ops.amax(x, axis=-2),
    "moments": lambda x: (x - ops.mean(x, -1, keepdims=True)) / (ops.std(x, -1, keepdims=True) + 0.1),
    "variance": lambda x: ops.var(x, axis=(1, 2), keepdims=True) + ops.logsumexp(x, axis=[-1], keepdims=True),
    "two moments": lambda x: sum(ops.moments(x, axes=[1, 2])),
    "argmax": lambda x: ops.cast(ops.argmax(x, axis=-1), "float32"),
    "reshape": lambda x: ops.reshape(x, (-1, 30, 4)),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "axes": lambda x: ops.swapaxes(ops.moveaxis(x, -1, 1), 1, 2),
    "expand": lambda x: ops.squeeze(ops.expand_dims(x, 2), 2) + ops.expand_dims(x[..., 0], -1),
    "concatenate": lambda x: ops.concatenate(
        [x, x * 2.0, ops.broadcast_to(CHANNELS, (1, 5, 6, 4)) + 0 * x], -1
    ),
    "concatenate rows": lambda x: ops.concatenate([x, -x], axis=1),
    "stack": lambda x: ops.stack([x, x + 1.0], axis=1),
    "split": lambda x: ops.split(x, 2, axis=-1)[1] * ops.split(x, [1, 3], axis=-1)[1],
    "unstack": lambda x: ops.unstack(x, axis=1)[2],
    "slices": lambda x: x[:, 1:-1, ::2, :] + x[:, :3, ::-2],
    "index": lambda x: x[:, 1, ..., -1],
    "new axis": lambda x: x[:, None, ..., :2, None],
    "take": lambda x: ops.take(x, [2, 0, -1], axis=2),
    "pad": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (1, 0)), constant_values=0.5),
    "mirror": lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 1), (0, 0)), mode="reflect"),
    "flip": lambda x: ops.flip(ops.flip(x, axis=1), axis=-1),
    "repeat": lambda x: ops.repeat(x, 2, axis=-1) + ops.tile(x, (1, 1, 1, 2)),
    "broadcast": lambda x: ops.reshape(
        ops.broadcast_to(ops.mean(x, 0, keepdims=True), (2, 5, 6, 4)), (-1, 4)
    ),
    "one hot": lambda x: ops.one_hot(ops.cast(ops.clip(x, 0, 1) * 3, "int32"), 3)[..., 1] + x,
    "matmul": lambda x: ops.matmul(x, RNG.normal(size=(4, 3)).astype("float32")),
    "product": lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))),
    "dot": lambda x: ops.dot(x, RNG.normal(size=(4, 3)).astype("float32")),
    "einsum matrix": lambda x: ops.einsum("bhwc,cde->bhwde", x, RNG.normal(size=(4, 2, 3)).astype("float32")),
    "einsum two axes": lambda x: ops.einsum("bhwc,wco->bho", x, RNG.normal(size=(6, 4, 3)).astype("float32")),
    "einsum": lambda x: ops.einsum("bhwc,bhvc->bhwv", x, x),
    "attention": lambda x: ops.dot_product_attention(x, x * 2.0, x + 1.0),
    "causal": lambda x: ops.dot_product_attention(x, x, x, is_causal=True, scale=0.7),
    "convolution": lambda x: ops.conv(x, KERNEL, padding="same", strides=2),
    "depthwise": lambda x: ops.depthwise_conv(x, KERNEL, padding="same"),
    "pools": lambda x: ops.max_pool(x, 2, padding="same") - ops.average_pool(x, 2, padding="same"),
    "batch norm": lambda x: ops.batch_normalization(x, *[ops.convert_to_tensor(CHANNELS)] * 2, -1),
    "normalize": lambda x: ops.normalize(x, axis=-1) + ops.normalize(x, axis=-1, order=1),
    "layer norm": lambda x: ops.layer_normalization(x, CHANNELS, CHANNELS),
    "rms norm": lambda x: ops.rms_normalization(x, CHANNELS),
}


@pytest.mark.parametrize("first", [False, True], ids=["as it comes", "behind a convolution"])
@pytest.mark.parametrize("name", CASES)
def test_an_operation_between_layers(name: str, first: bool) -> None:
    if name in NEWER:
        try:
            inputs = keras.Input((5, 6, 4))
            keras.Model(inputs, CASES[name](inputs))(ops.zeros((1, 5, 6, 4)))
        except (AttributeError, NotImplementedError) as error:
            pytest.skip(f"Keras {keras.__version__}: {str(error).splitlines()[0]}")
    inputs = x = keras.Input((5, 6, 4), name="x")
    if first:  # held channels first in the graph
        x = L.Conv2D(4, 3, padding="same")(x)
    model = randomize(keras.Model(inputs, CASES[name](x)))
    assert converted(model, rtol=1e-3).route == "direct"


def test_operations_are_folded_as_layers_are() -> None:
    x = inputs = keras.Input((8, 8, 3), name="x")
    x = (L.Conv2D(4, 3)(x) * CHANNELS + 3.0) / 6.0
    x = L.Conv2D(2, 3)(x - CHANNELS)
    conversion = converted(randomize(keras.Model(inputs, x)))
    assert kinds(conversion) == ["Transpose", "Conv", "Conv", "Transpose"]
    x = L.Dense(5)(L.Dense(4)(inputs) * CHANNELS)
    conversion = converted(randomize(keras.Model(inputs, x)))
    assert kinds(conversion) == ["MatMul", "Add", "MatMul", "Add"]


class Scale(keras.layers.Layer):
    """What a user writes: weights, layers within, and the variable on either side."""

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(shape=(shape[-1],), name="gamma")
        self.inner = keras.layers.Dense(shape[-1], activation="relu")
        self.inner.build(shape)

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            x = x + 100.0
        return self.gamma * self.inner(x) + ops.mean(x, axis=-1, keepdims=True) * self.gamma


def test_a_layer_of_ones_own_is_taken_apart() -> None:
    model = functional((6, 6, 4), L.Conv2D(4, 3), Scale(), L.Conv2D(2, 3))
    calls = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    product = keras.Variable.__mul__
    conversion = converted(model)
    assert conversion.route == "direct"
    assert keras.Variable.__mul__ is product
    assert [len(layer._inbound_nodes) for layer in model._flatten_layers()] == calls
    assert converted(model).model.graph.node[0].op_type == conversion.model.graph.node[0].op_type


def test_a_model_with_a_call_of_its_own_within_another() -> None:
    class Block(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = L.Dense(4, activation="tanh"), L.Dense(4)

        def call(self, x: Any) -> Any:
            return x + self.second(self.first(x))

    assert converted(functional((4,), Block(), L.Dense(2))).route == "direct"


def test_a_layer_that_does_nothing_in_inference() -> None:
    class Noise(keras.layers.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            return x + keras.random.normal(ops.shape(x)) if training else x

    assert kinds(converted(functional((4,), L.Dense(4), Noise(), L.Dense(2)))) == ["Gemm", "Gemm"]


def test_a_mask_is_not_forgotten() -> None:
    x = inputs = keras.Input((6,), dtype="int32", name="x")
    x = L.Embedding(5, 4, mask_zero=True, name="words")(x)
    model = randomize(keras.Model(inputs, L.GlobalAveragePooling1D()(x)))
    conversion = convert(model, Options())
    assert (conversion.route, "layer 'words' (Embedding)" in conversion.reason) == ("tf2onnx", True)
    numbers = np.array([[1, 2, 0, 0, 3, 0], [0, 0, 4, 1, 1, 2]], np.int32)
    data = [np.repeat(numbers, 2, axis=0)]
    assert converted(model, route="auto", sizes=data).route == "tf2onnx"


def transformer(mixed: str = "attention") -> keras.Model:
    """A small Vision Transformer of stock layers: patches, positions, two blocks of pre-normalization."""
    inputs = keras.Input((16, 16, 3), name="image")
    x = L.Conv2D(12, 4, strides=4, name="patches")(inputs)
    x = L.Reshape((16, 12))(x)
    x = x + L.Embedding(16, 12, name="positions")(ops.arange(16))
    for _ in range(2):
        y = L.LayerNormalization(epsilon=1e-6)(x)
        y = L.MultiHeadAttention(3, 4, dropout=0.1)(y, y)
        x = L.Add()([x, y])
        y = L.LayerNormalization(epsilon=1e-6)(x)
        y = L.Dense(24, activation="gelu")(y)
        y = L.Dropout(0.1)(L.Dense(12)(y))
        x = L.Add()([x, y])
    x = L.LayerNormalization(epsilon=1e-6)(x)
    x = L.GlobalAveragePooling1D()(x)
    return randomize(keras.Model(inputs, L.Dense(5, activation="softmax")(x)))


def test_a_vision_transformer_exports_directly() -> None:
    conversion = converted(transformer())
    assert conversion.route == "direct"
    assert kinds(conversion).count("LayerNormalization") == 5
    assert kinds(conversion).count("Einsum") == 0


@pytest.mark.parametrize("causal", [False, True])
def test_attention_to_another_sequence(causal: bool) -> None:
    query, memory = keras.Input((4, 6), name="query"), keras.Input((7, 5), name="memory")
    attention = L.MultiHeadAttention(2, 3, value_dim=4, output_shape=8)
    model = keras.Model([query, memory], attention(query, memory, use_causal_mask=causal))
    assert converted(randomize(model)).route == "direct"


def test_words_by_embedding_and_convolution() -> None:
    x = inputs = keras.Input((9,), dtype="int32", name="words")
    x = L.Embedding(2, 6)(x) + L.Embedding(9, 6)(ops.arange(9))
    x = L.Conv1D(8, 3, padding="causal", activation="relu")(x)
    x = L.Conv1D(8, 3, padding="same")(L.LayerNormalization()(x))
    model = randomize(keras.Model(inputs, L.Dense(3)(L.GlobalMaxPooling1D()(x))))
    assert converted(model).route == "direct"


@pytest.mark.parametrize("layer", [L.LSTM, L.GRU])
def test_recurrent_layers_go_by_tf2onnx(layer: Any) -> None:
    model = functional((5, 3), layer(4, return_sequences=True), layer(4), L.Dense(2))
    assert converted(model, route="auto").route == "tf2onnx"
