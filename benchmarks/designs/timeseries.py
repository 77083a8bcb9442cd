"""Series: classifiers by convolutions and attention, forecasts, residual and gated networks."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


def fully_convolutional() -> keras.Model:
    """A fully convolutional classifier."""
    inputs = keras.layers.Input((100, 1))
    x = inputs
    for _ in range(3):
        x = layers.Conv1D(filters=64, kernel_size=3, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def transformer() -> keras.Model:
    """Encoder blocks with convolutions of length 1, pooled over the features."""

    def encoder(inputs: Any) -> Any:
        x = layers.MultiHeadAttention(key_dim=64, num_heads=4, dropout=0.25)(inputs, inputs)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Dropout(0.25)(x))
        res = x + inputs
        x = layers.Conv1D(filters=4, kernel_size=1, activation="relu")(res)
        x = layers.Conv1D(filters=inputs.shape[-1], kernel_size=1)(layers.Dropout(0.25)(x))
        return layers.LayerNormalization(epsilon=1e-6)(x) + res

    x = inputs = keras.Input(shape=(100, 3))
    for _ in range(3):
        x = encoder(x)
    x = layers.GlobalAveragePooling1D(data_format="channels_last")(x)
    x = layers.Dropout(0.4)(layers.Dense(64, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def weather() -> keras.Model:
    """A forecast from normalized readings."""
    inputs = keras.layers.Input(shape=(120, 7))
    x = layers.Normalization(
        mean=[988, 9.1, 283, 4.5, 76, 13.5, 5.7], variance=[70, 71, 80, 47, 270, 58, 23]
    )(inputs)
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.LSTM(32)(x)))


class ReversibleNormalization(layers.Layer):
    """Normalizes each series by its own mean and deviation, and undoes it."""

    def __init__(self, eps: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.eps = eps

    def build(self, input_shape: Any) -> None:
        """Make the scale and the shift."""
        self.affine_weight = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        self.affine_bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros")

    def call(self, x: Any) -> Any:
        """The normalized series, its mean and its deviation."""
        mean = ops.mean(x, axis=1, keepdims=True)
        std = ops.sqrt(ops.var(x, axis=1, keepdims=True) + self.eps)
        return (x - mean) / std * self.affine_weight + self.affine_bias, mean, std

    def denormalize(self, x: Any, mean: Any, std: Any) -> Any:
        """Undo it."""
        return (x - self.affine_bias) / (self.affine_weight + self.eps * self.eps) * std + mean


class TSMixer(keras.layers.Layer):
    """MLPs over time and over features, between normalizations of each series."""

    def __init__(self, steps: int = 12, blocks: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = steps
        self.norm = ReversibleNormalization()
        self.blocks = blocks

    def build(self, input_shape: Any) -> None:
        """Make the layers."""
        _, length, features = input_shape
        self.norm.build(input_shape)
        self.norms = [layers.BatchNormalization() for _ in range(2 * self.blocks)]
        self.over_time = [layers.Dense(length, activation="relu") for _ in range(self.blocks)]
        self.over_features = [
            keras.Sequential([layers.Dense(32, activation="relu"), layers.Dense(features)])
            for _ in range(self.blocks)
        ]
        self.head = layers.Dense(self.steps)

    def call(self, x: Any, training: bool = False) -> Any:
        """Mix."""
        x, mean, std = self.norm(x)
        for index in range(self.blocks):
            y = ops.swapaxes(self.norms[2 * index](x, training=training), 1, 2)
            x = x + ops.swapaxes(self.over_time[index](y), 1, 2)
            x = x + self.over_features[index](self.norms[2 * index + 1](x, training=training))
        x = ops.transpose(self.head(ops.transpose(x, (0, 2, 1))), (0, 2, 1))
        return self.norm.denormalize(x, mean, std)


def ts_mixer() -> keras.Model:
    """TSMixer: a forecast of several series."""
    inputs = keras.Input((48, 7))
    return keras.Model(inputs, TSMixer()(inputs))


def eeg() -> keras.Model:
    """Convolutions and dense layers with dropout and leaky ReLUs, for a signal."""
    x = inputs = keras.Input(shape=(512, 1))
    for filters in (32, 64, 128, 64):
        x = layers.Conv1D(filters, 3, 2, padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    for units in (128, 64):
        x = layers.Dense(units, kernel_regularizer=keras.regularizers.L2())(x)
        x = layers.Dropout(0.2)(layers.LeakyReLU()(x))
    return keras.Model(inputs, layers.Dense(6, activation="softmax")(x))


def temporal_convolutions() -> keras.Model:
    """Residual blocks of causal, dilated convolutions, of which the last step is taken."""
    x = inputs = keras.Input((None, 8))
    for dilation in (1, 2, 4):
        y = x
        for _ in range(2):
            y = layers.Conv1D(16, 3, padding="causal", dilation_rate=dilation)(y)
            y = layers.SpatialDropout1D(0.1)(layers.ReLU()(layers.LayerNormalization()(y)))
        if x.shape[-1] != 16:
            x = layers.Conv1D(16, 1, padding="same")(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(4)(x[:, -1, :]))


DESIGNS = {
    "series classifier, convolutions": fully_convolutional,
    "series classifier, transformer": transformer,
    "weather forecast, LSTM": weather,
    "TSMixer": ts_mixer,
    "EEG signals": eeg,
    "temporal convolutions": temporal_convolutions,
}
