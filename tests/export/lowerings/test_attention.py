"""Attention against Keras: the operation, and models of stock layers that use it."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers as L
from keras import ops

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


# Layers of Keras that attend to a sequence, called with themselves as the key and the value.
LAYERS: dict[str, Callable[..., Any]] = {
    "MultiHeadAttention": lambda x, **options: L.MultiHeadAttention(2, 3)(x, x, **options),
    "GroupQueryAttention": lambda x, **options: L.GroupQueryAttention(3, 4, 2)(x, x, **options),
    "Attention": lambda x, **options: L.Attention()([x, x], **options),
    "Attention concat": lambda x, **options: L.Attention(use_scale=True, score_mode="concat")(
        [x, x], **options
    ),
    "AdditiveAttention": lambda x, **options: L.AdditiveAttention()([x, x], **options),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


def query_key_value(length: int | None, heads: int) -> list[Any]:
    """Inputs of attention with 6 heads of queries."""
    return [keras.Input((length, number, 3)) for number in (6, heads, heads)]


@pytest.mark.parametrize("length", [7, None])
@pytest.mark.parametrize("causal", [False, True])
def test_heads_of_queries_that_share_keys(length: int | None, causal: bool) -> None:
    inputs = query_key_value(length, 2)
    converted(keras.Model(inputs, ops.dot_product_attention(*inputs, is_causal=causal)))


def test_bias_and_mask() -> None:
    inputs = [*query_key_value(5, 6), keras.Input((6, 5, 5)), keras.Input((1, 5, 5), dtype="bool")]
    query, key, value, bias, mask = inputs
    attention = ops.dot_product_attention(query, key, value, bias=bias, mask=mask, is_causal=True)
    converted(keras.Model(inputs, attention))


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


@pytest.mark.parametrize("length", [7, None])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", [name for name in LAYERS if hasattr(L, name.split()[0])])
def test_layers(name: str, causal: bool, length: int | None) -> None:
    x = keras.Input((length, 5))
    conversion = converted(randomize(keras.Model(x, LAYERS[name](x, use_causal_mask=causal))))
    assert "Loop" not in kinds(conversion)


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)])
def test_attention_axes(axes: tuple[int, ...]) -> None:
    x = keras.Input((4, 3, 5))
    converted(randomize(keras.Model(x, L.MultiHeadAttention(2, 3, attention_axes=axes)(x, x))))


def test_masks_of_an_embedding() -> None:
    ids = keras.Input((6,), dtype="int32")
    x = L.Embedding(9, 4, mask_zero=True)(ids)
    outputs = [
        L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
        L.GroupQueryAttention(3, 4, 2)(x, x),
        L.Attention()([x, x]),
        L.AdditiveAttention()([x, x], use_causal_mask=True),
    ]
    converted(randomize(keras.Model(ids, outputs)))


def test_scores() -> None:
    x = keras.Input((6, 5))
    outputs = L.MultiHeadAttention(2, 3)(x, x, return_attention_scores=True, use_causal_mask=True)
    converted(randomize(keras.Model(x, [*outputs, *L.Attention()([x, x], return_attention_scores=True)])))
