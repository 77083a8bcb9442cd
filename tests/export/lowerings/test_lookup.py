"""Lookups against Keras: in each output mode, with masks and what is not in the vocabulary, and back."""

import inspect
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L

from export.errors import UserError
from tests.export.helpers import compare, converted, kinds

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
WORDS = np.array(["cat", "dog", "bird", "", "other", "[M]"], object)
NUMBERS = np.array([11, 12, 14, 0, -3, 10])


def lookups(kind: type, vocabulary: list[Any], **options: Any) -> dict[str, Any]:
    """A lookup for each output mode."""
    return {
        mode: kind(
            vocabulary=vocabulary,
            output_mode=mode,
            idf_weights=[0.5, 1.0, 2.0] if mode == "tf_idf" else None,
            **options,
        )
        for mode in MODES
    }


@pytest.mark.parametrize("columns", [5, 1])
@pytest.mark.parametrize(
    "options", [{}, {"mask_token": "[M]"}, {"max_tokens": 9, "pad_to_max_tokens": True}], ids=str
)
def test_string_lookup(options: dict[str, Any], columns: int) -> None:
    words = np.random.default_rng(0).choice(WORDS, (4, columns))
    compare(lookups(L.StringLookup, ["cat", "dog", "bird"], **options), words)


@pytest.mark.parametrize(
    "options",
    [{}, {"mask_token": 0}, {"num_oov_indices": 3}, {"num_oov_indices": 3, "mask_token": 0}],
    ids=str,
)
def test_integer_lookup(options: dict[str, Any]) -> None:
    numbers = np.random.default_rng(1).choice(NUMBERS, (4, 5))
    compare(lookups(L.IntegerLookup, [11, 12, 14], **options), numbers)


@pytest.mark.skipif(
    "oov_method" not in inspect.signature(L.IntegerLookup).parameters, reason="newer than this Keras"
)
def test_hashed_out_of_vocabulary_indices() -> None:
    numbers = np.random.default_rng(1).choice(NUMBERS, (4, 5))
    hashed = {"num_oov_indices": 3, "oov_method": "farmhash"}
    compare(lookups(L.IntegerLookup, [11, 12, 14], **hashed), numbers)
    x = keras.Input((5,), dtype="int64")
    with pytest.raises(UserError, match="with a salt, with which Keras takes SipHash"):
        converted(keras.Model(x, L.IntegerLookup(vocabulary=[1], salt=[1, 2], **hashed)(x)))


def test_lookup_without_an_index_for_other_words() -> None:
    x = keras.Input((5,), dtype="string")
    converted(keras.Model(x, L.StringLookup(vocabulary=["cat", "dog"], num_oov_indices=0)(x)))


def test_inverse() -> None:
    indices = np.random.default_rng(2).integers(-2, 7, (4, 5))
    compare(
        {
            "words": L.StringLookup(vocabulary=["a", "b"], invert=True),
            "words with a mask": L.StringLookup(vocabulary=["a", "b"], invert=True, mask_token=""),
            "numbers": L.IntegerLookup(vocabulary=[7, 8], invert=True, mask_token=0),
        },
        indices,
    )


def test_inverse_passes_the_parity_check() -> None:
    x = keras.Input((5,), dtype="int64")
    converted(keras.Model(x, L.StringLookup(vocabulary=["a", "b"], invert=True)(x)))


def test_adapted_lookup_before_an_embedding() -> None:
    x = keras.Input((5,), dtype="string")
    lookup = L.StringLookup()
    lookup.adapt(np.array(["b", "a", "b", "c"], object))
    conversion = converted(keras.Model(x, L.Embedding(4, 3)(lookup(x))))
    assert kinds(conversion) == ["LabelEncoder", "Gather"]


def test_words_that_are_hashed_are_unsupported() -> None:
    x = keras.Input((5,), dtype="string")
    with pytest.raises(
        UserError, match="more than one out-of-vocabulary index, chosen by a hash of the text"
    ):
        converted(keras.Model(x, L.StringLookup(vocabulary=["a"], num_oov_indices=2)(x)))


def test_lookup_without_a_vocabulary_is_unsupported() -> None:
    x = keras.Input((5,), dtype="string")
    with pytest.raises(UserError, match="it has no vocabulary yet; call adapt or set_vocabulary"):
        converted(keras.Model(x, L.StringLookup()(x)))
