from typing import Any

import keras
import numpy as np
import pytest

from export.parity.domains import Domain, domain_of

L = keras.layers
RANGE = (0.0, 1.0)


def of(*layers: Any, shape: tuple[int | None, ...] = (6,), dtype: str | None = None) -> Domain:
    x = inputs = keras.Input(shape, dtype=dtype)
    for layer in layers:
        x = layer(x)
    return domain_of(keras.Model(inputs, x), 0, RANGE)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_ids_of_an_embedding(dtype: str) -> None:
    assert of(L.Embedding(50, 3), dtype=dtype) == Domain("integers", 0, 49)
    assert of(L.Embedding(50, 3, mask_zero=True), dtype=dtype).pads


def test_an_embedding_behind_other_layers() -> None:
    inner = keras.Sequential([keras.Input((3, 2)), L.Reshape((6,)), L.Embedding(70, 3)])
    assert of(L.Reshape((3, 2)), inner, dtype="int32").high == 69
    each = L.TimeDistributed(L.Embedding(9, 2))
    assert of(L.Dropout(0.1), each, shape=(6, 2), dtype="int32").high == 8


class Positions(keras.layers.Layer):
    """Embeddings of tokens and of their positions, as in many tutorials."""

    def build(self, shape: Any) -> None:
        self.tokens, self.positions = L.Embedding(400, 4), L.Embedding(6, 4)

    def call(self, x: Any) -> Any:
        return self.tokens(x) + self.positions(keras.ops.arange(6))


def test_an_embedding_within_a_custom_layer() -> None:
    assert of(Positions(), dtype="int32") == Domain("integers", 0, 399)


def test_the_smaller_of_two_embeddings() -> None:
    inputs = keras.Input((6,), dtype="int32")
    sums = L.Add()([L.Embedding(50, 3)(inputs), L.Embedding(20, 3)(inputs)])
    assert domain_of(keras.Model(inputs, sums), 0, RANGE).high == 19


def test_pixels_wherever_the_rescaling_stands() -> None:
    assert of(L.Rescaling(1 / 255), shape=(8, 8, 3)) == Domain("numbers", 0.0, 255.0)
    assert of(L.RandomFlip(), L.Resizing(4, 4), L.Rescaling(1 / 127.5, -1), shape=(8, 8, 3)).high == 255.0
    assert of(L.Rescaling(0.1)) == Domain("numbers", -10.0, 10.0)


def test_numbers_around_the_mean_of_a_normalization() -> None:
    layer = L.Normalization(mean=[1.0, -2.0], variance=[4.0, 9.0])
    domain = of(layer, shape=(2,))
    np.testing.assert_allclose(domain.low, [-5, -11], rtol=1e-6, atol=0)
    np.testing.assert_allclose(domain.high, [7, 7], rtol=1e-6, atol=0)


def test_words_and_categories() -> None:
    assert of(L.StringLookup(vocabulary=["a", "b"]), dtype="string").words == ("[UNK]", "a", "b", "unseen")
    assert of(L.IntegerLookup(vocabulary=[11, 12]), dtype="int64").words == (-1, 11, 12, 19)
    assert of(L.CategoryEncoding(5), dtype="int64") == Domain("integers", 0, 4)
    text = of(L.TextVectorization(vocabulary=["cat", "dog"]), shape=(), dtype="string")
    assert (text.kind, text.words) == ("text", ("cat", "dog", "unseen"))


def test_numbers_that_are_counted() -> None:
    assert of(lambda x: keras.ops.bincount(x, minlength=20), dtype="int32") == Domain("integers", 0, 19)


def test_numbers_that_are_indices() -> None:
    table = np.zeros((7, 2), "float32")
    assert of(lambda x: keras.ops.take(table, x, axis=0), dtype="int32") == Domain("integers", 0, 6)
    assert of(lambda x: keras.ops.take(table, keras.ops.expand_dims(x, 1)), dtype="int32").high == 13


@pytest.mark.parametrize(("length", "highest"), [(9, 8), (None, 2)])
def test_positions_in_another_input(length: int | None, highest: int) -> None:
    """Of a dynamic dimension, those that exist at the smallest size that is tried."""
    x, positions = keras.Input((length, 2)), keras.Input((4,), dtype="int32")
    taken = keras.ops.take_along_axis(x, positions[:, :, None], axis=1)
    assert domain_of(keras.Model([x, positions], taken), 1, RANGE) == Domain("integers", 0, highest)


def test_guesses() -> None:
    assert of(L.Dense(2)) == Domain("numbers", 0.0, 1.0, known=False)
    assert of(L.Dense(2), dtype="uint8") == Domain("integers", 0, 255, known=False)
    assert of(L.Dense(2), dtype="int32") == Domain("integers", -8, 8, known=False)
    assert of(L.Flatten(), dtype="bool") == Domain("mask")
