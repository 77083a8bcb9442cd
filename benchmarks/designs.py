"""The networks of benchmarks/design_speed.py: small ones, each after a common design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

L = keras.layers


@dataclass(frozen=True)
class Design:
    """A design.

    Attributes:
        build: builds the model.
        shape: the shape of an input without the batch.
        ids: the number of ids, if the input is of whole numbers.
    """

    build: Callable[[], keras.Model]
    shape: tuple[int, ...]
    ids: int = 0


def _model(
    shape: tuple[int | None, ...], layers: Callable[[Any], Any], dtype: str = "float32"
) -> keras.Model:
    x = keras.Input(shape, dtype=dtype, name="x")
    return keras.Model(x, layers(x))


def _recurrent(layer: Callable[..., keras.Layer]) -> keras.Model:
    """Two recurrent layers over a series of 16 numbers."""
    return _model((100, 16), lambda x: L.Dense(10)(layer(64)(layer(64, return_sequences=True)(x))))


def _text_classifier(mask_zero: bool) -> keras.Model:
    """Embedding and a bidirectional LSTM; with `mask_zero`, padding counts as nothing."""

    def layers(x: Any) -> Any:
        x = L.Embedding(5000, 64, mask_zero=mask_zero)(x)
        x = L.Bidirectional(L.LSTM(64))(x)
        return L.Dense(1, activation="sigmoid")(x)

    return _model((None,), layers, "int32")


def _ocr() -> keras.Model:
    """Convolutions, then bidirectional LSTMs over the columns of a line of text; logits for CTC."""

    def layers(x: Any) -> Any:
        for filters in (32, 64):
            x = L.MaxPooling2D()(L.ReLU()(L.BatchNormalization()(L.Conv2D(filters, 3, padding="same")(x))))
        x = L.Reshape((50, -1))(L.Permute((2, 1, 3))(x))
        x = L.Dense(64, activation="relu")(x)
        for units in (64, 32):
            x = L.Bidirectional(L.LSTM(units, return_sequences=True))(x)
        return L.Dense(80)(x)

    return _model((48, 200, 1), layers)


def _unet() -> keras.Model:
    """Three levels, up by transposed convolutions."""

    def block(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = L.ReLU()(L.BatchNormalization()(L.Conv2D(filters, 3, padding="same", use_bias=False)(x)))
        return x

    def layers(x: Any) -> Any:
        skips = []
        for filters in (16, 32, 64):
            x = block(x, filters)
            skips.append(x)
            x = L.MaxPooling2D()(x)
        x = block(x, 128)
        for filters, skip in zip((64, 32, 16), reversed(skips), strict=True):
            x = L.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False)(x)
            x = L.ReLU()(L.BatchNormalization()(x))
            x = block(L.Concatenate()([x, skip]), filters)
        return L.Conv2D(3, 1, activation="softmax")(x)

    return _model((128, 128, 3), layers)


def _conv_lstm() -> keras.Model:
    """The next frame of a video."""

    def layers(x: Any) -> Any:
        x = L.ConvLSTM2D(16, 3, padding="same", return_sequences=True)(x)
        x = L.BatchNormalization()(x)
        x = L.ConvLSTM2D(16, 3, padding="same")(x)
        return L.Conv2D(1, 3, padding="same", activation="sigmoid")(x)

    return _model((8, 32, 32, 1), layers)


def _transformer() -> keras.Model:
    """Four encoder blocks."""

    def layers(x: Any) -> Any:
        x = L.Dense(128)(x)
        for _ in range(4):
            y = L.LayerNormalization()(x)
            x = x + L.MultiHeadAttention(4, 32)(y, y)
            y = L.Dense(256, activation="relu")(L.LayerNormalization()(x))
            x = x + L.Dense(128)(y)
        return L.Dense(10)(L.GlobalAveragePooling1D()(L.LayerNormalization()(x)))

    return _model((64, 32), layers)


DESIGNS = {
    "LSTM": Design(lambda: _recurrent(L.LSTM), (100, 16)),
    "GRU": Design(lambda: _recurrent(L.GRU), (100, 16)),
    "text classifier, BiLSTM": Design(lambda: _text_classifier(False), (80,), 5000),
    "the same, masked": Design(lambda: _text_classifier(True), (80,), 5000),
    "OCR, convolutions and BiLSTM": Design(_ocr, (48, 200, 1)),
    "U-Net, transposed convolutions": Design(_unet, (128, 128, 3)),
    "ConvLSTM, next frame": Design(_conv_lstm, (8, 32, 32, 1)),
    "transformer encoder": Design(_transformer, (64, 32)),
}
