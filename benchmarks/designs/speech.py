"""Sequences of sounds and images of text: OCR with CTC, speech recognition, speakers, keywords."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops


class CTCLayer(layers.Layer):
    """Adds the CTC loss in training, and returns the predictions."""

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The predictions."""
        batch_len = ops.cast(ops.shape(y_true)[0], dtype="int64")
        input_length = ops.cast(ops.shape(y_pred)[1], dtype="int64")
        label_length = ops.cast(ops.shape(y_true)[1], dtype="int64")
        input_length = input_length * ops.ones(shape=(batch_len,), dtype="int64")
        label_length = label_length * ops.ones(shape=(batch_len,), dtype="int64")
        loss = ops.ctc_loss(ops.cast(y_true, "int32"), y_pred, label_length, input_length)
        self.add_loss(ops.mean(loss))
        return y_pred


def _captcha() -> tuple[Any, Any, Any]:
    image = layers.Input(shape=(100, 32, 1), name="image", dtype="float32")
    labels = layers.Input(name="label", shape=(None,), dtype="float32")
    x = image
    for number, filters in enumerate((32, 64), 1):
        x = layers.Conv2D(
            filters,
            (3, 3),
            activation="relu",
            kernel_initializer="he_normal",
            padding="same",
            name=f"Conv{number}",
        )(x)
        x = layers.MaxPooling2D((2, 2), name=f"pool{number}")(x)
    x = layers.Reshape(target_shape=(25, 8 * 64), name="reshape")(x)
    x = layers.Dropout(0.2)(layers.Dense(64, activation="relu", name="dense1")(x))
    x = layers.Bidirectional(layers.LSTM(64, return_sequences=True, dropout=0.25))(x)
    x = layers.Bidirectional(layers.LSTM(32, return_sequences=True, dropout=0.25))(x)
    return image, labels, layers.Dense(21, activation="softmax", name="dense2")(x)


def captcha() -> keras.Model:
    """OCR of captchas, as it is used: the network without the layer of the loss."""
    image, labels, x = _captcha()
    model = keras.Model([image, labels], CTCLayer(name="ctc_loss")(labels, x))
    return keras.Model(model.input[0], model.get_layer(name="dense2").output)


def captcha_training() -> tuple[keras.Model, list[np.ndarray]]:
    """OCR of captchas, as it is trained: the labels are an input, and a layer adds the CTC loss."""
    image, labels, x = _captcha()
    model = keras.Model(
        inputs=[image, labels], outputs=CTCLayer(name="ctc_loss")(labels, x), name="ocr_model_v1"
    )
    rng = np.random.default_rng(0)
    data = [rng.uniform(0, 1, (32, 100, 32, 1)), rng.integers(1, 20, (32, 5))]
    return model, [x.astype("float32") for x in data]


def handwriting() -> keras.Model:
    """OCR whose CTC decoding is a layer of the model."""
    image, _, x = _captcha()
    return keras.Model(image, GreedyDecoder()(x))


class GreedyDecoder(layers.Layer):
    """The best labels, -1 after the end, and their score."""

    def call(self, x: Any) -> Any:
        """Decode."""
        lengths = ops.ones(ops.shape(x)[0], dtype="int32") * ops.shape(x)[1]
        decoded, scores = ops.ctc_decode(x, lengths, strategy="greedy", mask_index=20)
        return decoded[0], scores


def deep_speech() -> keras.Model:
    """Speech recognition: a spectrogram of any length, convolutions, bidirectional GRUs."""
    inputs = layers.Input((None, 193), name="input")
    x = layers.Reshape((-1, 193, 1), name="expand_dim")(inputs)
    for number, (kernel, strides) in enumerate((([11, 41], [2, 2]), ([11, 21], [1, 2])), 1):
        x = layers.Conv2D(16, kernel, strides=strides, padding="same", use_bias=False, name=f"conv_{number}")(
            x
        )
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Reshape((-1, x.shape[-2] * x.shape[-1]))(x)
    for number in range(2):
        recurrent = layers.GRU(
            units=48,
            activation="tanh",
            recurrent_activation="sigmoid",
            use_bias=True,
            return_sequences=True,
            reset_after=True,
        )
        x = layers.Bidirectional(recurrent, name=f"bidirectional_{number}", merge_mode="concat")(x)
        x = layers.Dropout(rate=0.5)(x) if number < 1 else x
    x = layers.Dropout(rate=0.5)(layers.ReLU()(layers.Dense(units=96)(x)))
    return keras.Model(inputs, layers.Dense(units=32, activation="softmax")(x), name="DeepSpeech_2")


class Spectrogram(layers.Layer):
    """The first half of the spectrum of a sound, by a Fourier transform within the model."""

    def call(self, audio: Any) -> Any:
        """Absolute values, (batch, frequencies, 1)."""
        audio = ops.squeeze(audio, axis=-1)
        real, imag = ops.fft((audio, ops.zeros_like(audio)))
        magnitude = ops.sqrt(ops.square(real) + ops.square(imag))
        return ops.expand_dims(magnitude[:, : (audio.shape[1] // 2)], axis=-1)


def speaker_recognition() -> keras.Model:
    """Speakers by a residual network of one dimension over a spectrum."""

    def residual_block(x: Any, filters: int, conv_num: int = 3) -> Any:
        s = layers.Conv1D(filters, 1, padding="same")(x)
        for _ in range(conv_num - 1):
            x = layers.Activation("relu")(layers.Conv1D(filters, 3, padding="same")(x))
        x = layers.Add()([layers.Conv1D(filters, 3, padding="same")(x), s])
        return layers.MaxPool1D(pool_size=2, strides=2)(layers.Activation("relu")(x))

    inputs = layers.Input(shape=(1024, 1), name="input")
    x = Spectrogram()(inputs)
    for filters, count in ((16, 2), (32, 2), (64, 3)):
        x = residual_block(x, filters, count)
    x = layers.Flatten()(layers.AveragePooling1D(pool_size=3, strides=3)(x))
    x = layers.Dense(128, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="output")(x))


class ShortTimeFourier(layers.Layer):
    """A spectrogram in decibels, by `keras.ops.stft`."""

    def call(self, audio: Any) -> Any:
        """(batch, frames, frequencies, 1)."""
        real, imag = ops.stft(audio, sequence_length=255, sequence_stride=128, fft_length=256)
        power = ops.maximum(real**2 + imag**2, 1e-5)
        return ops.expand_dims(10.0 * ops.log10(power), -1)


def keywords() -> keras.Model:
    """Keywords of a second of sound: spectrogram, resized, normalized, convolutions."""
    norm = layers.Normalization(axis=-1, mean=-10.0, variance=120.0)
    return keras.Sequential(
        [
            layers.Input(shape=(4000,)),
            ShortTimeFourier(),
            layers.Resizing(32, 32),
            norm,
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(8),
        ]
    )


def mel_classifier() -> keras.Model:
    """Sounds by Keras' own mel spectrogram."""
    inputs = keras.Input((8000,))
    x = layers.MelSpectrogram(
        num_mel_bins=32, sampling_rate=8000, sequence_stride=128, fft_length=512, max_freq=4000
    )(inputs)
    x = layers.BatchNormalization(axis=2)(layers.Reshape((*x.shape[1:], 1))(x))
    for filters in (16, 32):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def wavenet() -> keras.Model:
    """Dilated causal convolutions with gates, for sounds of any length."""
    inputs = keras.Input((None, 1))
    x = layers.Conv1D(32, 2, padding="causal")(inputs)
    skips = []
    for dilation in (1, 2, 4, 8, 16):
        f = layers.Conv1D(32, 2, padding="causal", dilation_rate=dilation, activation="tanh")(x)
        g = layers.Conv1D(32, 2, padding="causal", dilation_rate=dilation, activation="sigmoid")(x)
        z = layers.Multiply()([f, g])
        skips.append(layers.Conv1D(32, 1)(z))
        x = layers.Add()([x, layers.Conv1D(32, 1)(z)])
    x = layers.Activation("relu")(layers.Add()(skips))
    x = layers.Conv1D(32, 1, activation="relu")(x)
    return keras.Model(inputs, layers.Conv1D(64, 1, activation="softmax")(x))


DESIGNS = {
    "captcha OCR": captcha,
    "captcha OCR with its CTC loss": captcha_training,
    "OCR with its CTC decoder": handwriting,
    "speech recognition": deep_speech,
    "speaker recognition, FFT": speaker_recognition,
    "keywords, spectrogram": keywords,
    "sounds, mel spectrogram": mel_classifier,
    "WaveNet": wavenet,
}
