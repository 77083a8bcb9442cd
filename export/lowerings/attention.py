"""Attention: softmax(q k^T) v."""

from __future__ import annotations

import math

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import Argument, align
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
    heads, features = query.shape[2], key.shape[3]
    if key.shape[2] != heads:
        raise Unsupported(f"attention with {heads} heads of queries and {key.shape[2]} heads of keys")
    if getattr(operation, "attn_logits_soft_cap", None) is not None:
        raise Unsupported("attention with a soft cap on its logits")
    if features is None:
        raise Unsupported("attention with a dynamic number of features")
    factor = 1 / math.sqrt(features) if scale is None else float(scale)
    # The queries are scaled: they are fewer numbers than the products.
    scaled = g.op("Mul", g.op("Transpose", query.value, perm=[0, 2, 1, 3]), factor)
    logits = g.op("MatMul", scaled, g.op("Transpose", key.value, perm=[0, 2, 3, 1]))
    if bias is not None:
        logits = g.op("Add", logits, *align(g, [bias], 4, "float32")[0])
    if mask is not None:
        logits = g.op("Where", *align(g, [mask], 4, "bool")[0], logits, _MASKED_LOGIT)
    if operation.is_causal:
        queries, keys = query.shape[1], key.shape[1]
        if queries is None or keys is None:
            raise Unsupported("causal attention over a dynamic number of positions")
        logits = g.op("Where", np.tri(queries, keys, dtype=bool), logits, _MASKED_LOGIT)
    weights = g.op("Softmax", logits, axis=-1)
    mixed = g.op("MatMul", weights, g.op("Transpose", value.value, perm=[0, 2, 1, 3]))
    return g.tensor(g.op("Transpose", mixed, perm=[0, 2, 1, 3]), (*query.shape[:3], value.shape[3]))
