"""The models of benchmarks/targets.py: small ones, one of each kind that people export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.target_networks import ocr, transformer, u_net
from kerasnorm import build_cnn

L = keras.layers
WORDS = ("red", "green", "blue", "black")


def _model(
    shape: tuple[int | None, ...], *layers: Callable[[Any], Any], dtype: str = "float32"
) -> keras.Model:
    y = x = keras.Input(shape, dtype=dtype, name="x")
    for layer in layers:
        y = layer(y)
    return keras.Model(x, y)


def _recurrent(layer: Callable[..., keras.Layer]) -> keras.Model:
    """Two recurrent layers over a series of 16 numbers."""
    return _model((100, 16), layer(64, return_sequences=True), layer(64), L.Dense(10))


def _text_classifier() -> keras.Model:
    """Embedding and a bidirectional LSTM, for which padding counts as nothing."""
    layers = (
        L.Embedding(5000, 64, mask_zero=True),
        L.Bidirectional(L.LSTM(64)),
        L.Dense(1, activation="sigmoid"),
    )
    return _model((None,), *layers, dtype="int32")


def _mobile_net() -> keras.Model:
    """Inverted residuals with depthwise convolutions."""
    x = inputs = keras.Input((32, 32, 3), name="x")
    for filters, strides in ((16, 2), (16, 1), (24, 2)):
        y = L.Conv2D(4 * filters, 1, activation="relu6")(x)
        y = L.DepthwiseConv2D(3, strides, padding="same", use_bias=False)(y)
        y = L.Conv2D(filters, 1)(L.Activation("hard_swish")(L.BatchNormalization()(y)))
        x = L.Add()([x, y]) if x.shape == y.shape else y
    return keras.Model(inputs, L.Dense(10, activation="softmax")(L.GlobalAveragePooling2D()(x)))


def _attention(causal: bool) -> keras.Model:
    """Embedding and self-attention; padding is masked."""
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = L.Embedding(50, 16, mask_zero=True)(ids)
    x = L.MultiHeadAttention(2, 8)(x, x, use_causal_mask=causal)
    return keras.Model(ids, L.Dense(3)(L.GlobalAveragePooling1D()(L.LayerNormalization()(x))))


def _cross_attention() -> keras.Model:
    """Two inputs of different lengths."""
    query, value = keras.Input((None, 16), name="query"), keras.Input((None, 16), name="value")
    return keras.Model([query, value], L.AdditiveAttention()([query, L.Dense(16)(value)]))


def _tabular() -> keras.Model:
    """Numbers, categories as text and as integers, and a bucketized number."""
    age, colour = keras.Input((1,), name="age"), keras.Input((1,), dtype="string", name="colour")
    code = keras.Input((1,), dtype="int64", name="code")
    features = [
        L.Normalization(mean=40.0, variance=100.0)(age),
        L.CategoryEncoding(6, output_mode="one_hot")(L.Discretization([20.0, 30.0, 40.0, 50.0])(age)),
        L.StringLookup(vocabulary=list(WORDS), output_mode="one_hot")(colour),
        L.Flatten()(L.Embedding(5, 4)(L.IntegerLookup(vocabulary=[10, 20, 30, 40])(code))),
    ]
    return keras.Model([age, colour, code], L.Dense(1, activation="sigmoid")(L.Concatenate()(features)))


def _integers() -> keras.Model:
    """A table of numbers and integer codes, without text."""
    number, code = keras.Input((4,), name="number"), keras.Input((1,), dtype="int32", name="code")
    x = L.Flatten()(L.Embedding(5, 4)(L.IntegerLookup(vocabulary=[10, 20, 30, 40])(code)))
    return keras.Model(
        [number, code], L.Dense(1)(L.Concatenate()([L.Normalization(mean=1.0, variance=2.0)(number), x]))
    )


def _text() -> keras.Model:
    layer = L.TextVectorization(vocabulary=list(WORDS), output_sequence_length=6)
    return _model((1,), layer, L.Embedding(8, 8), L.GlobalAveragePooling1D(), L.Dense(2), dtype="string")


def _up_sampling(interpolation: str) -> Callable[[], keras.Model]:
    return lambda: _model(
        (9, 8, 3), L.Conv2D(4, 3), L.Resizing(17, 13, interpolation=interpolation), L.Conv2D(2, 1)
    )


def _activations() -> keras.Model:
    names = (
        "elu",
        "selu",
        "gelu",
        "silu",
        "mish",
        "softplus",
        "softsign",
        "hard_sigmoid",
        "tanh",
        "leaky_relu",
    )
    x = keras.Input((8,), name="x")
    return keras.Model(x, [L.Activation(name, name=f"{name}_")(x) for name in names])


def _operations() -> keras.Model:
    """Operations between layers: sorting, sums along an axis, gathering, norms."""
    x = keras.Input((6, 5), name="x")
    ops = keras.ops
    values, indices = ops.top_k(x, 3)
    outputs = [
        values,
        indices,
        ops.cumsum(x, axis=1),
        ops.sort(x, axis=-1),
        ops.argmax(x, axis=1),
        ops.logsumexp(x, axis=2),
        ops.einsum("bij,bkj->bik", x, x),
        ops.where(x > 0, x, ops.exp(x)),
        ops.take(x, [2, 0], axis=1),
        ops.erf(x),
    ]
    return keras.Model(x, outputs)


def _integer_operations() -> keras.Model:
    """Remainders, quotients, bits and one-hot vectors of whole numbers."""
    x, y = keras.Input((5,), dtype="int32", name="x"), keras.Input((5,), dtype="int32", name="y")
    ops = keras.ops
    outputs = [
        ops.mod(x, 7),
        x // 3,
        ops.bitwise_and(x, y),
        ops.one_hot(x, 4),
        ops.maximum(x, y),
        ops.cumsum(x),
    ]
    return keras.Model([x, y], outputs)


def _scattered() -> keras.Model:
    """Sums by segment, slices that are updated, and values picked by position."""
    x = keras.Input((6, 3), batch_size=1, name="x")
    ops = keras.ops
    rows = ops.reshape(x, (6, 3))
    outputs = [
        ops.segment_sum(rows, np.array([0, 0, 1, 2, 2, 2]), 3),
        ops.slice_update(rows, (1, 0), ops.ones((2, 3))),
        ops.take_along_axis(rows, ops.argsort(rows, axis=0), axis=0),
    ]
    return keras.Model(x, outputs)


MODELS: dict[str, Callable[[], keras.Model]] = {
    "CNN, bn": lambda: build_cnn("bn"),
    "CNN, ln": lambda: build_cnn("ln"),
    "CNN, gn": lambda: build_cnn("gn"),
    "depthwise convolutions": _mobile_net,
    "padding and bn": lambda: _model(
        (16, 16, 3),
        L.Conv2D(8, 3, padding="same", activation="relu"),
        L.BatchNormalization(),
        L.Conv2D(4, 3, padding="same"),
    ),
    "convolution, 1-D, causal": lambda: _model(
        (None, 6),
        L.Conv1D(8, 3, padding="causal", dilation_rate=2),
        L.ReLU(),
        L.Conv1D(4, 3),
        L.GlobalMaxPooling1D(),
    ),
    "convolution, 3-D": lambda: _model(
        (8, 8, 8, 2), L.Conv3D(4, 3), L.AveragePooling3D(2), L.GlobalAveragePooling3D()
    ),
    "transposed convolution": lambda: _model(
        (8, 8, 4), L.Conv2DTranspose(6, 3, 2, padding="same"), L.LeakyReLU(), L.Conv2DTranspose(3, 4, 2)
    ),
    "resizing, nearest": _up_sampling("nearest"),
    "resizing, bilinear": _up_sampling("bilinear"),
    "resizing, bicubic": _up_sampling("bicubic"),
    "up-sampling": lambda: _model(
        (8, 8, 3), L.UpSampling2D(2, interpolation="bilinear"), L.Conv2D(4, 3), L.UpSampling2D(2)
    ),
    "U-Net": u_net,
    "transformer encoder": transformer,
    "attention, masked": lambda: _attention(False),
    "attention, masked and causal": lambda: _attention(True),
    "attention over another input": _cross_attention,
    "LSTM": lambda: _recurrent(L.LSTM),
    "GRU": lambda: _recurrent(L.GRU),
    "GRU, before the reset": lambda: _model((None, 6), L.GRU(5, reset_after=False, return_sequences=True)),
    "BiLSTM over ids, masked": _text_classifier,
    "simple RNN, any length": lambda: _model((None, 6), L.SimpleRNN(5, activation="relu"), L.Dense(2)),
    "OCR": ocr,
    "ConvLSTM": lambda: _model((4, 8, 8, 2), L.ConvLSTM2D(3, 3, padding="same")),
    "embedding": lambda: _model(
        (12,), L.Embedding(30, 8), L.GlobalAveragePooling1D(), L.Dense(2), dtype="int32"
    ),
    "table of integers": _integers,
    "table with text": _tabular,
    "text": _text,
    "hashing": lambda: _model((1,), L.Hashing(7, output_mode="one_hot"), L.Dense(2), dtype="int64"),
    "spectrogram": lambda: _model(
        (512,), L.MelSpectrogram(fft_length=128, num_mel_bins=16, sampling_rate=8000)
    ),
    "adaptive pooling": lambda: (
        _model((9, 8, 3), L.Conv2D(4, 3), L.AdaptiveAveragePooling2D(3))
        if hasattr(L, "AdaptiveAveragePooling2D")
        else _model((9, 8, 3), L.Conv2D(4, 3))
    ),
    "activations": _activations,
    "integer operations": _integer_operations,
    "scattered values": _scattered,
    "operations": _operations,
    "unit and spectral normalization": lambda: (
        _model((7,), L.SpectralNormalization(L.Dense(6)), L.UnitNormalization(), L.RMSNormalization())
        if hasattr(L, "RMSNormalization")
        else _model((7,), L.UnitNormalization())
    ),
}


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Random weights of a sensible size; what a preprocessing layer has been given stays."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "float" not in weight.dtype or weight.path.endswith(("mean", "variance")):
            continue
        if weight.name == "moving_variance":
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif "kernel" in weight.name:
            weight.assign(rng.normal(0, 1 / np.sqrt(max(1, np.prod(weight.shape[:-1]))), weight.shape))
        elif weight.name in ("gamma", "scale"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return model
