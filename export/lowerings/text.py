"""Text: TextVectorization, with the operators on strings that ONNX has from opset 20 on.

ONNX can split strings and join them, but not edit them: punctuation is removed from a word by splitting it there and
joining the pieces. While the words of a batch are split, they are one vector, with the row of each beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.categories import refuse_sparse
from export.lowerings.lookup import encode_indices, look_up
from export.lowerings.operands import as_int64
from export.lowerings.registry import register_lowering

layers = keras.layers

_WHITESPACE = " \t\n\v\f\r"
_PUNCTUATION = r"""!"#$%&()*+,-./:;<=>?@[\]^_`{|}~'"""


@dataclass(frozen=True)
class _Words:
    """The words of a batch of texts.

    Attributes:
        values: the words, a vector of strings.
        rows: which text each is in, an int64 vector.
    """

    values: ir.Value
    rows: ir.Value


@register_lowering(layers.TextVectorization, own_outputs=True)
def lower_text_vectorization(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Lower case, no punctuation, words, n-grams of them, and their indices in each output mode."""
    lookup, standardize, split = layer._lookup_layer, layer._standardize, layer._split
    refuse_sparse(lookup)
    if layer._ragged:
        raise Unsupported("ragged=True, which ONNX has no tensors for")
    if callable(standardize) or callable(split):
        raise Unsupported("standardize or split is a function of TensorFlow's")
    strips = standardize is not None and "strip_punctuation" in standardize
    if split == "character" or (split is None and (strips or layer._ngrams)):
        raise Unsupported(
            f"split={split!r} with standardize={standardize!r} and ngrams={layer._ngrams}; ONNX can split text "
            "at whitespace alone"
        )
    if standardize is not None and "lower" in standardize:
        x = _lower_case(g, x)
    if split is None:
        dense = g.tensor(look_up(g, lookup, x.value), x.shape, dtype="int64")
    else:
        dense = _indices_of_words(g, layer, x, strips)
    if lookup.output_mode == "int" and layer._output_sequence_length is not None:
        return _of_length(g, dense, layer._output_sequence_length)
    return encode_indices(g, lookup, dense)


def _lower_case(g: Builder, x: Tensor) -> Tensor:
    """`x` with the letters A to Z in lower case, which is what locale C and TensorFlow change."""
    vector = g.op("Reshape", x.value, as_int64(-1))
    vector = g.op("StringNormalizer", vector, case_change_action="LOWER", is_case_sensitive=1, locale="C")
    return g.like(x, g.op("Reshape", vector, g.op("Shape", x.value)))


def _indices_of_words(g: Builder, layer: Any, x: Tensor, strips: bool) -> Tensor:
    """The indices of each text's words, (texts, words); those of shorter texts are followed by the index of ''."""
    if x.rank > 2 or (x.rank == 2 and x.shape[1] != 1):
        raise Unsupported(f"texts of shape {x.shape}, expected one for each sample")
    g.require(20, "StringSplit")
    texts = g.op("Reshape", x.value, as_int64(-1))
    number = g.op("Shape", texts)
    words = _split(g, _Words(texts, _positions(g, number)), _WHITESPACE)
    if strips:
        words = _without_punctuation(g, words)
    matrix = _as_matrix(g, words, number)
    if layer._ngrams is not None:
        matrix = _as_matrix(g, _non_empty(g, _ngrams(g, matrix, layer._ngrams), None), number)
    return g.tensor(look_up(g, layer._lookup_layer, matrix), (x.shape[0], None), dtype="int64")


def _split(g: Builder, words: _Words, delimiters: str) -> _Words:
    """Split at each of these characters, and leave out what is empty."""
    for delimiter in delimiters:
        pieces = g.op("StringSplit", words.values, outputs=2, delimiter=delimiter)[0]
        words = _non_empty(g, pieces, words.rows)
    return words


def _non_empty(g: Builder, matrix: ir.Value, rows: ir.Value | None) -> _Words:
    """The words of a matrix that aren't empty; `rows` are the texts of its rows, None for one each."""
    places = g.op("NonZero", g.op("Not", g.op("Equal", matrix, _string(g, ""))))
    of_matrix = g.op("Gather", places, np.array(0), axis=0)
    values = g.op("GatherND", matrix, g.op("Transpose", places, perm=[1, 0]))
    return _Words(values, of_matrix if rows is None else g.op("Gather", rows, of_matrix))


def _without_punctuation(g: Builder, words: _Words) -> _Words:
    """The words without punctuation: what is between it, joined. Words that are nothing else vanish."""
    pieces = _split(g, _Words(words.values, _positions(g, g.op("Shape", words.values))), _PUNCTUATION)
    number = g.op("Shape", pieces.values)
    preceding = g.op("Slice", g.op("Concat", as_int64(-1), pieces.rows, axis=0), as_int64(0), as_int64(-1))
    begins = g.op("Not", g.op("Equal", pieces.rows, preceding))
    starts = g.op("Reshape", g.op("NonZero", begins), as_int64(-1))
    ends = g.op(
        "Slice", g.op("Concat", starts, number, axis=0), as_int64(1), as_int64(np.iinfo(np.int64).max)
    )
    counts = g.op("Concat", as_int64(1), g.op("Sub", ends, starts), axis=0)
    further = g.op("Sub", g.reduce("ReduceMax", counts, [0], keepdims=False), np.array(1))

    nothing = _string(g, "")

    def join(body: Builder, index: ir.Value, joined: ir.Value) -> ir.Value:
        place = body.op("Add", body.op("Add", starts, index), as_int64(1))
        last = body.op("Sub", number, as_int64(1))
        piece = body.op("Gather", pieces.values, body.op("Min", place, last))
        piece = body.op("Where", body.op("Less", place, ends), piece, nothing)
        return body.op("StringConcat", joined, piece)

    values = g.loop(further, g.op("Gather", pieces.values, starts), join)
    return _Words(values, g.op("Gather", words.rows, g.op("Gather", pieces.rows, starts)))


def _as_matrix(g: Builder, words: _Words, number: ir.Value) -> ir.Value:
    """The words as a matrix with a row for each text, filled up with empty words."""
    one = g.op("Expand", as_int64(1), g.op("Shape", words.rows))
    rows = g.op("Unsqueeze", words.rows, as_int64(1))
    counts = g.op("ScatterND", g.op("Expand", as_int64(0), number), rows, one, reduction="add")
    starts = g.op("CumSum", counts, np.array(0), exclusive=1)
    columns = g.op("Sub", _positions(g, g.op("Shape", words.rows)), g.op("Gather", starts, words.rows))
    places = g.op("Concat", rows, g.op("Unsqueeze", columns, as_int64(1)), axis=1)
    longest = g.reduce("ReduceMax", counts, [0])
    empty = g.op("Expand", _string(g, ""), g.op("Concat", number, longest, axis=0))
    return g.op("ScatterND", empty, places, words.values)


def _ngrams(g: Builder, words: ir.Value, widths: tuple[int, ...]) -> ir.Value:
    """Neighbouring words joined by spaces, of each width; empty where a text ends."""
    length = g.op("Shape", words, start=1, end=2)
    result = []
    for width in widths:
        number = g.op("Max", g.op("Sub", length, as_int64(width - 1)), as_int64(0))
        gram = None
        for shift in range(width):
            end = g.op("Add", number, as_int64(shift))
            word = g.op("Slice", words, as_int64(shift), end, as_int64(1))
            spaced = word if gram is None else g.op("StringConcat", _string(g, " "), word)
            gram = word if gram is None else g.op("StringConcat", gram, spaced)
        is_whole = g.op("Not", g.op("Equal", word, _string(g, "")))
        result.append(g.op("Where", is_whole, gram, _string(g, "")))
    return g.op("Concat", *result, axis=1)


def _of_length(g: Builder, x: Tensor, length: int) -> Tensor:
    """The first indices of each text, filled up with zeros."""
    cut = g.op("Slice", x.value, as_int64(0), as_int64(length), as_int64(-1))
    missing = g.op("Sub", as_int64(length), g.op("Shape", cut, start=x.rank - 1, end=x.rank))
    pads = g.op("Concat", as_int64(*[0] * (2 * x.rank - 1)), missing, axis=0)
    return g.tensor(g.op("Pad", cut, pads), (*x.shape[:-1], length), dtype="int64")


def _string(g: Builder, text: str) -> ir.Value:
    return g.op("Constant", value_string=text)


def _positions(g: Builder, number: ir.Value) -> ir.Value:
    """0, 1, ... up to a number, which is a vector of one element."""
    return g.op("Range", np.array(0), g.op("Reshape", number, as_int64()), np.array(1))
