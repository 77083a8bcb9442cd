"""Slices and lookups by index, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers as L
from keras import ops

from tests.export.helpers import CHANNELS, check_operations, converted, in_either_layout, randomize

CASES: dict[str, Callable[[Any], Any]] = {
    "slices": lambda x: x[:, 1:-1, ::2, :] + x[:, :3, ::-2],
    "index": lambda x: x[:, 1, ..., -1],
    "new axis": lambda x: x[:, None, ..., :2, None],
    "take": lambda x: ops.take(x, [2, 0, -1], axis=2),
    "take without an axis": lambda x: ops.take(x, [[2, 0], [7, -1]]),
    "take from a constant": lambda x: ops.take(CHANNELS, ops.argmax(x, axis=-1), axis=0),
    "take_along_axis": lambda x: ops.take_along_axis(x, ops.cast(x > 0, "int32") * 4 - 1, axis=2),
    "take_along_axis of a broadcast": lambda x: ops.take_along_axis(
        x, ops.argmax(x, axis=1, keepdims=True)[:, :, :1], axis=1
    ),
    "take_along_axis from a constant": lambda x: ops.take_along_axis(
        CHANNELS[None, None, None], ops.argmax(x, axis=-1, keepdims=True), axis=-1
    ),
    "take_along_axis by a constant": lambda x: ops.take_along_axis(x, np.array([[[[2], [0], [-1]]]]), axis=2),
    "take_along_axis without an axis": lambda x: ops.take_along_axis(x, np.array([1, 3, -2]), axis=None),
    "slice": lambda x: ops.slice(ops.stack([x, -x]), (0, 0, 1, 0, 2), (2, -1, 3, 6, 2)),
    "nonzero": lambda x: ops.nonzero(ops.relu(x)),
    "unravel_index": lambda x: ops.unravel_index(ops.argmax(x, axis=-1)[:, 0, 0], (2, 2)),
    "unravel_index of negative ones": lambda x: ops.unravel_index(
        -ops.argmax(x[:, 0, 0], axis=-1), (3, 2, 2)
    ),
    "unravel_index of images": lambda x: ops.unravel_index(ops.argmax(x, axis=-1), (4, 2)),
}


@in_either_layout
def test_operations(channels_first: bool) -> None:
    check_operations(CASES, channels_first)


def test_embeddings_of_tokens_and_positions() -> None:
    x = inputs = keras.Input((9,), dtype="int32", name="words")
    x = L.Embedding(2, 6)(x) + L.Embedding(9, 6)(ops.arange(9))
    x = L.Conv1D(8, 3, padding="causal", activation="relu")(x)
    x = L.Conv1D(8, 3, padding="same")(L.LayerNormalization()(x))
    model = randomize(keras.Model(inputs, L.Dense(3)(L.GlobalMaxPooling1D()(x))))
    assert converted(model).route == "direct"
