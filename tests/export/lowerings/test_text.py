"""TextVectorization against Keras, on texts with all kinds of whitespace and punctuation."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L

from export.convert import Options, convert
from export.errors import UserError
from tests.export.helpers import compare, converted

VOCABULARY = ["cat", "dog", "bird", "the", "dont", "the cat", "äé", "ÄÉ"]
TEXTS = np.array(
    [
        "  the cat\tsat \n the  ",
        "Dog, cat!",
        "a bird don't; THE ca.t -- ;;",
        "",
        "...",
        "ÄÉ dog\vcat\fbird\rthe  the-cat a.b.c.d 'x' \\ [UNK] {`~}",
    ],
    object,
)
CASES: dict[str, dict[str, Any]] = {
    "indices": {},
    "length": {"output_sequence_length": 4},
    "longer": {"output_sequence_length": 20, "standardize": "strip_punctuation"},
    "as it is": {"standardize": None},
    "lower": {"standardize": "lower"},
    "multi_hot": {"output_mode": "multi_hot"},
    "count": {"output_mode": "count", "max_tokens": 20, "pad_to_max_tokens": True},
    "tf_idf": {"output_mode": "tf_idf", "idf_weights": np.arange(8) / 7},
    "bigrams": {"ngrams": 2},
    "n-grams": {"ngrams": (2, 3), "output_sequence_length": 5},
    "count of bigrams": {"ngrams": 2, "output_mode": "count"},
    "whole texts": {"split": None, "standardize": "lower"},
    "whole texts, length": {"split": None, "standardize": None, "output_sequence_length": 3},
}


@pytest.mark.parametrize("rows", [6, 1], ids=["several texts", "one text"])
def test_text_vectorization(rows: int) -> None:
    layers = {name: L.TextVectorization(vocabulary=VOCABULARY, **options) for name, options in CASES.items()}
    compare(layers, TEXTS[:rows, np.newaxis])


def test_no_words() -> None:
    compare({"none": L.TextVectorization(vocabulary=VOCABULARY)}, TEXTS[4:5])


def test_models_of_text_need_opset_20() -> None:
    x = keras.Input((1,), dtype="string")
    indices = L.TextVectorization(vocabulary=VOCABULARY)(x)
    mean = L.GlobalAveragePooling1D()(L.Embedding(10, 3, mask_zero=True)(indices))
    model = keras.Model(x, L.Dense(2)(mean))
    assert converted(model).opset == 20
    with pytest.raises(UserError, match="StringSplit needs opset 20, got 17; use --opset 20 or higher"):
        convert(model, Options(opset=17))


def test_layers_after_a_bag_of_words() -> None:
    """Keras declares another rank for the counts than they have."""
    x = keras.Input((1,), dtype="string")
    counts = L.TextVectorization(vocabulary=VOCABULARY, output_mode="count")(x)
    converted(keras.Model(x, L.Dense(2)(L.ReLU()(L.Dense(3)(counts)))))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"split": "character"}, "ONNX can split text at whitespace alone"),
        ({"split": None}, "ONNX can split text at whitespace alone"),
        ({"standardize": keras.ops.identity}, "standardize or split is a function of TensorFlow's"),
        ({"output_mode": "count", "sparse": True}, "sparse=True, which ONNX has no tensors for"),
    ],
)
def test_unsupported(options: dict[str, Any], reason: str) -> None:
    x = keras.Input((1,), dtype="string")
    layer = L.TextVectorization(vocabulary=VOCABULARY, **options)
    with pytest.raises(UserError, match=reason):
        converted(keras.Model(x, layer(x)))
