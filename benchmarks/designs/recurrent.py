"""Recurrent networks: series, text, sequence to sequence, the next frame of a video."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

Inputs = list[np.ndarray]


def padded_ids(length: int, vocabulary: int, rows: int = 32) -> np.ndarray:
    """Ids from 1 on, padded with 0 at the end of each row."""
    rng = np.random.default_rng(1)
    ids = rng.integers(1, vocabulary, (rows, length))
    lengths = rng.integers(length // 2, length + 1, (rows, 1))
    return np.where(np.arange(length) < lengths, ids, 0).astype(np.int32)


def lstm() -> keras.Model:
    """Two LSTMs over a series of 16 numbers."""
    inputs = keras.Input((100, 16))
    x = layers.LSTM(64)(layers.LSTM(64, return_sequences=True)(inputs))
    return keras.Model(inputs, layers.Dense(10)(x))


def gru() -> keras.Model:
    """Two GRUs, in the same way."""
    return keras.Sequential(
        [
            keras.Input((100, 16)),
            layers.GRU(64, return_sequences=True),
            layers.GRU(64),
            layers.Dense(10),
        ]
    )


def _text_classifier(mask_zero: bool) -> tuple[keras.Model, Inputs]:
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(5000, 64, mask_zero=mask_zero)(inputs)
    x = layers.Bidirectional(layers.LSTM(64, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(64))(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x)), [padded_ids(80, 5000)]


def bidirectional_lstm() -> tuple[keras.Model, Inputs]:
    """Sentiment of a text of any length."""
    return _text_classifier(False)


def bidirectional_lstm_masked() -> tuple[keras.Model, Inputs]:
    """Sentiment, where padding counts as nothing."""
    return _text_classifier(True)


def sequence_to_sequence() -> keras.Model:
    """Characters to characters: the states of an encoder start a decoder, in training."""
    encoder_inputs = keras.Input(shape=(None, 40), name="encoder_inputs")
    _, state_h, state_c = layers.LSTM(64, return_state=True)(encoder_inputs)
    decoder_inputs = keras.Input(shape=(None, 50), name="decoder_inputs")
    decoder_lstm = layers.LSTM(64, return_sequences=True, return_state=True)
    decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=[state_h, state_c])
    decoder_outputs = layers.Dense(50, activation="softmax")(decoder_outputs)
    return keras.Model([encoder_inputs, decoder_inputs], decoder_outputs)


def sequence_to_sequence_decoder() -> keras.Model:
    """The decoder in inference: one step, with its states as inputs and outputs."""
    decoder_inputs = keras.Input(shape=(None, 50))
    states_inputs = [keras.Input(shape=(64,)), keras.Input(shape=(64,))]
    lstm = layers.LSTM(64, return_sequences=True, return_state=True)
    outputs, state_h, state_c = lstm(decoder_inputs, initial_state=states_inputs)
    outputs = layers.Dense(50, activation="softmax")(outputs)
    return keras.Model([decoder_inputs, *states_inputs], [outputs, state_h, state_c])


def addition() -> keras.Model:
    """Addition of written numbers: an encoding LSTM, repeated for a decoding one."""
    model = keras.Sequential()
    model.add(layers.Input((7, 12)))
    model.add(layers.LSTM(64))
    model.add(layers.RepeatVector(4))
    model.add(layers.LSTM(64, return_sequences=True))
    model.add(layers.Dense(12, activation="softmax"))
    return model


def anomaly_autoencoder() -> keras.Model:
    """An autoencoder of a series by strided and transposed convolutions."""
    return keras.Sequential(
        [
            layers.Input(shape=(288, 1)),
            layers.Conv1D(filters=32, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Dropout(rate=0.2),
            layers.Conv1D(filters=16, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(filters=16, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Dropout(rate=0.2),
            layers.Conv1DTranspose(filters=32, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(filters=1, kernel_size=7, padding="same"),
        ]
    )


def next_frame() -> keras.Model:
    """Each next frame of a video of any length."""
    inputs = layers.Input(shape=(None, 32, 32, 1))
    x = layers.ConvLSTM2D(16, (5, 5), padding="same", return_sequences=True, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ConvLSTM2D(16, (3, 3), padding="same", return_sequences=True, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.ConvLSTM2D(16, (1, 1), padding="same", return_sequences=True, activation="relu")(x)
    x = layers.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same")(x)
    return keras.Model(inputs, x)


def video_classifier() -> keras.Model:
    """Features of frames, of which a mask says which ones exist, through GRUs."""
    features = keras.Input((20, 64))
    mask = keras.Input((20,), dtype="bool")
    x = layers.GRU(16, return_sequences=True)(features, mask=mask)
    x = layers.Dropout(0.4)(layers.GRU(8)(x))
    x = layers.Dense(8, activation="relu")(x)
    return keras.Model([features, mask], layers.Dense(5, activation="softmax")(x))


class GraphConv(layers.Layer):
    """Features of the nodes of a fixed graph, gathered from their neighbours at each time."""

    def __init__(self, edges: Any, out_feat: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.edges = edges
        self.out_feat = out_feat

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.kernel = self.add_weight(shape=(input_shape[-1], self.out_feat), name="kernel")

    def call(self, features: Any) -> Any:
        """Features (nodes, batch, time, features) to the same of `out_feat`."""
        neighbours = keras.ops.take(features, self.edges[1], axis=0)
        nodes = int(max(self.edges[0])) + 1
        aggregated = keras.ops.segment_sum(neighbours, keras.ops.convert_to_tensor(self.edges[0]), nodes)
        representation = keras.ops.matmul(features, self.kernel)
        return keras.ops.relu(keras.ops.concatenate([representation, aggregated], axis=-1))


class LSTMGC(layers.Layer):
    """A graph convolution, then an LSTM over time for each node."""

    def __init__(
        self, edges: Any, out_feat: int, lstm_units: int, output_seq_len: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.graph_conv = GraphConv(edges, out_feat)
        self.lstm = layers.LSTM(lstm_units, activation="relu")
        self.dense = layers.Dense(output_seq_len)

    def call(self, inputs: Any) -> Any:
        """Series (batch, time, nodes, features) to forecasts (batch, steps, nodes)."""
        inputs = keras.ops.transpose(inputs, [2, 0, 1, 3])
        gcn_out = self.graph_conv(inputs)
        shape = keras.ops.shape(gcn_out)
        num_nodes, batch_size, input_seq_len, out_feat = shape[0], shape[1], shape[2], shape[3]
        gcn_out = keras.ops.reshape(gcn_out, (batch_size * num_nodes, input_seq_len, out_feat))
        lstm_out = self.lstm(gcn_out)
        dense_output = self.dense(lstm_out)
        output = keras.ops.reshape(dense_output, (num_nodes, batch_size, -1))
        return keras.ops.transpose(output, [1, 2, 0])


def traffic() -> keras.Model:
    """Traffic on the roads of a network."""
    edges = [[0, 0, 1, 2, 3, 4, 5, 5], [1, 2, 0, 3, 4, 5, 1, 0]]
    inputs = layers.Input((12, 6, 1))
    return keras.Model(inputs, LSTMGC(edges, 10, 32, 3)(inputs))


DESIGNS = {
    "LSTM": lstm,
    "GRU": gru,
    "text classifier, BiLSTM": bidirectional_lstm,
    "the same, masked": bidirectional_lstm_masked,
    "sequence to sequence, LSTM": sequence_to_sequence,
    "its decoder, one step": sequence_to_sequence_decoder,
    "addition of numbers, LSTM": addition,
    "anomalies of a series, autoencoder": anomaly_autoencoder,
    "ConvLSTM, next frame": next_frame,
    "video classifier, GRU": video_classifier,
    "traffic forecast, graph and LSTM": traffic,
}
