"""Lookups: the words or numbers of a vocabulary as indices, and back: a LabelEncoder of ONNX's ai.onnx.ml."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.categories import encode, refuse_sparse
from export.lowerings.hashing import farmhash
from export.lowerings.operands import as_int64, cast
from export.lowerings.registry import register_lowering

layers = keras.layers

_ML_OPSET = 2
# What stands for a key that isn't in the vocabulary or is masked until its index is known; neither is ever counted.
_UNKNOWN, _MASKED = -1, -2


@register_lowering(layers.IntegerLookup, layers.StringLookup, own_outputs=True)
def lower_lookup(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """IntegerLookup and StringLookup, in either direction and each output mode."""
    refuse_sparse(layer)
    if layer.invert:
        return _words(g, layer, x)
    key_dtype = "string" if isinstance(layer, layers.StringLookup) else "int64"
    indices = g.tensor(look_up(g, layer, cast(g, x, key_dtype)), x.shape, dtype="int64")
    return encode_indices(g, layer, indices)


def look_up(g: Builder, layer: Any, keys: ir.Value) -> ir.Value:
    """The int64 indices of keys, as `layer` has them. One that is masked is negative unless the mode is 'int'."""
    is_int, several = layer.output_mode == "int", layer.num_oov_indices > 1
    start = int(
        is_int and layer.mask_token is not None
    )  # index of the first key that isn't in the vocabulary
    table = _table(layer)
    if layer.mask_token is not None:
        table[layer.mask_token] = 0 if is_int else _MASKED
    default = start if layer.num_oov_indices == 1 else _UNKNOWN
    indices = label_encoder(g, keys, table, default)
    if not several:
        return indices
    if isinstance(layer, layers.StringLookup):
        raise Unsupported("more than one out-of-vocabulary index, chosen by a hash of the text")
    if getattr(layer, "oov_method", "floormod") == "floormod":
        rest = g.op("Mod", keys, as_int64(layer.num_oov_indices))
    elif layer.salt is None:
        rest = farmhash(g, keys, layer.num_oov_indices)
    else:
        raise Unsupported("more than one out-of-vocabulary index with a salt, with which Keras takes SipHash")
    rest = g.op("Add", rest, as_int64(start)) if start else rest
    return g.op("Where", g.op("Equal", indices, as_int64(_UNKNOWN)), rest, indices)


def encode_indices(g: Builder, layer: Any, indices: Tensor) -> Tensor:
    """Indices in the output mode of a lookup."""
    if layer.output_mode == "tf_idf":
        counts = encode(g, indices, "count", depth(layer), "float32")
        return g.like(counts, g.op("Mul", counts.value, idf_weights(layer)))
    return encode(g, indices, layer.output_mode, depth(layer), "int64")


def depth(layer: Any) -> int:
    """How many classes a lookup has in the modes that count."""
    return int(layer.max_tokens if layer.pad_to_max_tokens else layer.vocabulary_size())


def idf_weights(layer: Any) -> np.ndarray:
    """What a lookup in mode 'tf_idf' multiplies the counts with."""
    return np.asarray(layer.idf_weights_const, np.float32)


def label_encoder(g: Builder, keys: ir.Value, table: dict[Any, Any], default: Any) -> ir.Value:
    """A value for each key: of `table`, or `default`."""
    g.graph.opset_imports.setdefault("ai.onnx.ml", _ML_OPSET)
    kinds = [("strings" if isinstance(one, str) else "int64s") for one in (next(iter(table)), default)]
    attributes: dict[str, Any] = {
        f"keys_{kinds[0]}": list(table),
        f"values_{kinds[1]}": list(table.values()),
        f"default_{kinds[1][:-1]}": default,
    }
    return g.op("LabelEncoder", keys, domain="ai.onnx.ml", **attributes)


def _words(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """The words of indices."""
    is_text = isinstance(layer, layers.StringLookup)
    table = _table(layer)
    if layer.mask_token is not None:
        table[0] = layer.mask_token
    default = str(layer.oov_token) if is_text else int(layer.oov_token)
    value = label_encoder(g, cast(g, x, "int64"), table, default)
    return g.tensor(value, x.shape, dtype="string" if is_text else "int64")


def _table(layer: Any) -> dict[Any, Any]:
    """What the lookup table of a layer holds."""
    if layer._frozen_vocab_size is None:  # the table isn't initialized
        raise Unsupported("it has no vocabulary yet; call adapt or set_vocabulary")
    keys, values = (x.numpy().tolist() for x in layer.lookup_table.export())
    pairs = sorted(zip(keys, values, strict=True), key=lambda pair: pair[1 - int(layer.invert)])
    return {_text(key): _text(value) for key, value in pairs}


def _text(x: bytes | int) -> str | int:
    if not isinstance(x, bytes):
        return x
    try:
        return x.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unsupported(f"a vocabulary with text that isn't UTF-8: {x!r}") from error
