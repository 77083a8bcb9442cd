"""Attention: softmax(q k^T) v."""

from __future__ import annotations

import math

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import Argument, align, as_int64
from export.lowerings.registry import register_operation

# Keras replaces the logits of masked positions by this.
_MASKED_LOGIT = float(0.7 * -np.finfo(np.float32).max)


@register_operation("dot_product_attention")
def lower_attention(
    g: Builder,
    operation: keras.Operation,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Argument | None = None,
    mask: Argument | None = None,
    scale: float | None = None,
) -> Tensor:
    """softmax(q k^T scale + bias) v for each head, of tensors (batch, positions, heads, features).

    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
    """
    query, key, value = (g.keras_layout(x) for x in (query, key, value))
    features = key.shape[3]
    if features is None:
        raise Unsupported("attention with a dynamic number of features")
    factor = 1 / math.sqrt(features) if scale is None else float(scale)
    # The queries are scaled: they are fewer numbers than the products.
    scaled = g.op("Mul", g.op("Transpose", query.value, perm=[0, 2, 1, 3]), factor)
    transposed = _for_each_query_head(g, query, key, g.op("Transpose", key.value, perm=[0, 2, 3, 1]), -2)
    logits = g.op("MatMul", scaled, transposed)
    if bias is not None:
        logits = g.op("Add", logits, *align(g, [bias], 4, "float32")[0])
    if mask is not None:
        logits = g.op("Where", *align(g, [mask], 4, "bool")[0], logits, _MASKED_LOGIT)
    if operation.is_causal:
        logits = g.op("Where", _causal_mask(g, query, key), logits, _MASKED_LOGIT)
    weights = g.op("Softmax", logits, axis=-1)
    values = _for_each_query_head(g, query, value, g.op("Transpose", value.value, perm=[0, 2, 1, 3]), -1)
    mixed = g.op("MatMul", weights, values)
    return g.tensor(g.op("Transpose", mixed, perm=[0, 2, 1, 3]), (*query.shape[:3], value.shape[3]))


def _for_each_query_head(g: Builder, query: Tensor, x: Tensor, value: ir.Value, features: int) -> ir.Value:
    """Keys or values, (batch, heads, ...), with each head repeated for the neighbouring query heads that share it.

    Args:
        g: the builder of the call.
        query: the queries as Keras has them.
        x: the keys or values as Keras has them.
        value: the keys or values with the heads in front.
        features: which axis of `value` the features are, -1 or -2.
    """
    heads, groups = query.shape[2], x.shape[2]
    if heads == groups or groups == 1:
        return value
    if heads is None or groups is None or heads % groups:
        raise Unsupported(f"attention with {heads} heads of queries and {groups} heads of keys or values")
    repeats = np.array([1, 1, heads // groups, 1, 1])
    repeated = g.op("Expand", g.op("Unsqueeze", value, as_int64(2)), repeats)
    rest = (None, x.shape[3]) if features == -1 else (x.shape[3], None)
    return g.reshape(repeated, (None, heads, *rest))


def _causal_mask(g: Builder, query: Tensor, key: Tensor) -> ir.Value | np.ndarray:
    """True where a key is not after a query, (queries, keys)."""
    queries, keys = query.shape[1], key.shape[1]
    if queries is not None and keys is not None:
        return np.tri(queries, keys, dtype=bool)
    rows, columns = (_positions(g, x) for x in (query, key))
    return g.op("GreaterOrEqual", g.op("Unsqueeze", rows, as_int64(1)), columns)


def _positions(g: Builder, x: Tensor) -> ir.Value:
    number = g.op("Gather", g.op("Shape", x.value), np.array(1))
    return g.op("Range", np.array(0), number, np.array(1))
