"""The larger networks of benchmarks/target_models.py."""

from __future__ import annotations

from typing import Any

import keras

L = keras.layers


def ocr() -> keras.Model:
    """Convolutions, then bidirectional LSTMs over the columns of a line of text; logits for CTC."""
    x = inputs = keras.Input((48, 200, 1), name="x")
    for filters in (32, 64):
        x = L.MaxPooling2D()(L.ReLU()(L.BatchNormalization()(L.Conv2D(filters, 3, padding="same")(x))))
    x = L.Dense(64, activation="relu")(L.Reshape((50, -1))(L.Permute((2, 1, 3))(x)))
    for units in (64, 32):
        x = L.Bidirectional(L.LSTM(units, return_sequences=True))(x)
    return keras.Model(inputs, L.Dense(80)(x))


def u_net() -> keras.Model:
    """Three levels, up by transposed convolutions."""

    def block(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = L.ReLU()(L.BatchNormalization()(L.Conv2D(filters, 3, padding="same", use_bias=False)(x)))
        return x

    x = inputs = keras.Input((128, 128, 3), name="x")
    skips = []
    for filters in (16, 32, 64):
        skips.append(block(x, filters))
        x = L.MaxPooling2D()(skips[-1])
    x = block(x, 128)
    for filters, skip in zip((64, 32, 16), reversed(skips), strict=True):
        x = L.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = block(L.Concatenate()([L.ReLU()(L.BatchNormalization()(x)), skip]), filters)
    return keras.Model(inputs, L.Conv2D(3, 1, activation="softmax")(x))


def transformer() -> keras.Model:
    """Four encoder blocks."""
    inputs = keras.Input((64, 32), name="x")
    x = L.Dense(128)(inputs)
    for _ in range(4):
        y = L.LayerNormalization()(x)
        x = x + L.MultiHeadAttention(4, 32)(y, y)
        x = x + L.Dense(128)(L.Dense(256, activation="relu")(L.LayerNormalization()(x)))
    return keras.Model(inputs, L.Dense(10)(L.GlobalAveragePooling1D()(L.LayerNormalization()(x))))
