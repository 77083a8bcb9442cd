"""Slices, lookups by index, reversed axes and one-hot vectors, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers as L
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operation, converted, in_either_layout, randomize

CASES: dict[str, Callable[[Any], Any]] = {
    "slices": lambda x: x[:, 1:-1, ::2, :] + x[:, :3, ::-2],
    "index": lambda x: x[:, 1, ..., -1],
    "new axis": lambda x: x[:, None, ..., :2, None],
    "take": lambda x: ops.take(x, [2, 0, -1], axis=2),
    "flip": lambda x: ops.flip(ops.flip(x, axis=1), axis=-1),
    "one_hot": lambda x: ops.one_hot(ops.cast(ops.clip(x, 0, 1) * 3, "int32"), 3)[..., 1] + x,
    "one_hot of negative classes": lambda x: ops.one_hot(ops.cast(ops.clip(x, -1, 1) * 3, "int32"), 3),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


def test_take_without_axis_is_unsupported() -> None:
    with pytest.raises(UserError, match="take without an axis"):
        check_operation(lambda x: ops.take(x, [2, 0]))


def test_embeddings_of_tokens_and_positions() -> None:
    x = inputs = keras.Input((9,), dtype="int32", name="words")
    x = L.Embedding(2, 6)(x) + L.Embedding(9, 6)(ops.arange(9))
    x = L.Conv1D(8, 3, padding="causal", activation="relu")(x)
    x = L.Conv1D(8, 3, padding="same")(L.LayerNormalization()(x))
    model = randomize(keras.Model(inputs, L.Dense(3)(L.GlobalMaxPooling1D()(x))))
    assert converted(model).route == "direct"
