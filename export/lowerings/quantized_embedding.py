"""Quantized embeddings: Embedding and ReversibleEmbedding in the modes int8 and int4."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import as_float, cast
from export.lowerings.quantized_inputs import multiply_integers, quantize_inputs
from export.lowerings.quantized_weights import Groups, as_numpy, block_size, lora_factor, store, unpack_int4
from export.lowerings.registry import register_quantized

layers = keras.layers


@register_quantized(layers.Embedding)
def lower_quantized_embedding(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """The rows of the table that the ids name, dequantized: the table stays small."""
    _check(layer)
    ids = x.value if x.dtype in ("int32", "int64") else cast(g, x, "int32")
    rows = store(g, _table(layer), "embeddings").rows(g, ids)
    scale = as_numpy(layer.embeddings_scale)
    if scale.ndim == 1:
        scales = g.op("Gather", g.weight(scale[:, np.newaxis], "scale"), ids, axis=0)
        value = g.op("Div", rows.as_float(g), scales)
    else:
        value = _grouped_rows(g, layer, rows.as_float(g), ids)
    if layer.lora_enabled:
        a, b = as_numpy(layer.lora_embeddings_a), as_numpy(layer.lora_embeddings_b)
        of_id = g.op("Gather", g.weight(a, "lora_a"), ids, axis=0)
        factor = np.float32(lora_factor(layer))
        value = g.op("Add", value, g.op("MatMul", of_id, g.weight(b * factor, "lora_b")))
    return g.result(value)


def _check(layer: Any) -> None:
    mode = layer.quantization_mode
    if mode not in ("int8", "int4"):
        raise Unsupported(f"it is quantized to {mode}; export the model before it is quantized")
    if layer.compute_dtype != "float32":
        raise Unsupported(f"it is quantized to {mode} and computes in {layer.compute_dtype}, not in float32")


def _table(layer: Any) -> np.ndarray:
    """The integers of the table, a row for each id."""
    if layer.quantization_mode == "int8":
        return as_numpy(layer._embeddings)
    block_size(layer)
    return unpack_int4(layer._embeddings, layer.output_dim, -1)


def _grouped_rows(g: Builder, layer: Any, integers: ir.Value, ids: ir.Value) -> ir.Value:
    """(q - zero) scale, with a scale for each group of columns."""
    scale, zero = (
        g.op("Gather", g.weight(variable, name), ids, axis=0)
        for variable, name in ((layer.embeddings_scale, "scale"), (layer.embeddings_zero, "zero"))
    )
    of_column = as_numpy(layer.g_idx).astype(np.int64)
    if of_column.any():
        scale, zero = (g.op("Gather", value, of_column, axis=-1) for value in (scale, zero))
    return g.op("Mul", g.op("Sub", integers, zero), scale)


if hasattr(layers, "ReversibleEmbedding"):

    @register_quantized(layers.ReversibleEmbedding)
    def lower_quantized_reversible_embedding(
        g: Builder, layer: Any, x: Tensor, reverse: bool = False
    ) -> Tensor:
        """The embedding, or its reverse: a product with the table, transposed, and a soft cap."""
        if not reverse:
            return lower_quantized_embedding(g, layer, x)
        _check(layer)
        value = _reversed(g, layer, as_float(g, x))
        if layer.logit_soft_cap is not None:
            cap = float(layer.logit_soft_cap)
            value = g.op("Mul", g.op("Tanh", g.op("Div", value, cap)), cap)
        return g.result(value)


def _reversed(g: Builder, layer: Any, x: Tensor) -> ir.Value:
    tied, is_int8 = layer.tie_weights, layer.quantization_mode == "int8"
    if tied:
        codes = store(g, _table(layer), "embeddings")  # shared with the embedding in the graph
    elif is_int8:
        codes = store(g, as_numpy(layer.reverse_embeddings), "reverse_embeddings")
    else:
        integers = unpack_int4(layer.reverse_embeddings, layer.output_dim, 0)
        codes = store(g, integers, "reverse_embeddings")
    scale = as_numpy(layer.embeddings_scale if tied else layer.reverse_embeddings_scale)
    value, inputs_scale = x.value, None
    if layer.inputs_quantizer is not None:
        value, inputs_scale = quantize_inputs(g, layer.inputs_quantizer, x, _axes(layer, x))
    if scale.ndim > 1:
        zero = as_numpy(layer.embeddings_zero if tied else layer.reverse_embeddings_zero)
        groups = Groups(scale.T if tied else scale, zero.T if tied else zero, as_numpy(layer.g_idx))
        matrix = groups.dequantized(g, codes.transposed(g) if tied else codes)
        product, scales = g.op("MatMul", value, matrix), inputs_scale
    else:
        if inputs_scale is None:
            matrix = codes.as_float(g)
            product = g.op("MatMul", value, g.op("Transpose", matrix, perm=[1, 0]) if tied else matrix)
        else:
            matrix = (codes.transposed(g) if tied else codes).unpacked(g)
            product = multiply_integers(g, value, matrix, codes.offset)
        scales = g.weight(scale, "scale")
        scales = scales if inputs_scale is None else g.op("Mul", inputs_scale, scales)
    return product if scales is None else g.op("Div", product, scales)


def _axes(layer: Any, x: Tensor) -> list[int]:
    axes = layer.inputs_quantizer.axis
    return [axis % x.rank for axis in (axes if axes is not None else (-1,))]
