"""Attention against Keras: the operation, and models of stock layers that use it."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers as L
from keras import ops

from export.errors import UserError
from tests.export.helpers import (
    check_operation,
    converted,
    in_either_layout,
    kinds,
    random_array,
    randomize,
)

CASES: dict[str, Callable[[Any], Any]] = {
    "attention": lambda x: ops.dot_product_attention(x, x * 2.0, x + 1.0),
    "causal": lambda x: ops.dot_product_attention(x, x, x, is_causal=True, scale=0.7),
    "mask": lambda x: ops.dot_product_attention(x, x, x, mask=random_array(1, 6, 5, 5) > 0),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


def test_fewer_heads_of_keys_are_unsupported() -> None:
    with pytest.raises(UserError, match="attention with 6 heads of queries and 3 heads of keys"):
        check_operation(lambda x: ops.dot_product_attention(x, x[:, :, :3], x[:, :, :3]))


def test_causal_attention_over_dynamic_positions_is_unsupported() -> None:
    x = keras.Input((None, 2, 4))
    with pytest.raises(UserError, match="causal attention over a dynamic number of positions"):
        converted(keras.Model(x, ops.dot_product_attention(x, x, x, is_causal=True)))


def vision_transformer() -> keras.Model:
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


def test_vision_transformer() -> None:
    conversion = converted(vision_transformer())
    assert conversion.route == "direct"
    assert kinds(conversion).count("LayerNormalization") == 5
    assert kinds(conversion).count("Einsum") == 0


@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention_to_another_sequence(causal: bool) -> None:
    query, memory = keras.Input((4, 6), name="query"), keras.Input((7, 5), name="memory")
    attention = L.MultiHeadAttention(2, 3, value_dim=4, output_shape=8)
    model = keras.Model([query, memory], attention(query, memory, use_causal_mask=causal))
    assert converted(randomize(model)).route == "direct"
