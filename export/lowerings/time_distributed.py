"""TimeDistributed: a layer on every step of a sequence."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import onnx_ir as ir

from export.builder import Builder, Shape, Tensor
from export.lowerings.operands import as_int64
from export.lowerings.registry import register_lowering

layers = keras.layers


@register_lowering(layers.TimeDistributed)
def lower_time_distributed(g: Builder, layer: Any, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """The layer on all steps at once: batch and time become one axis."""
    inner = layer.layer
    options = {}
    if mask is not None and "mask" in inspect.signature(inner.call).parameters:
        options["mask"] = _merged(g, mask)
    y = g.keras_layout(g.lower(inner, _merged(g, x), **options))
    batch_and_time = g.op("Slice", g.op("Shape", x.value), as_int64(0), as_int64(2))
    return g.result(_reshape(g, y.value, batch_and_time, y.shape[1:]))


def _merged(g: Builder, x: Tensor) -> Tensor:
    value = _reshape(g, x.value, as_int64(-1), x.shape[2:])
    return g.tensor(value, (None, *x.shape[2:]), dtype=x.dtype)


def _reshape(g: Builder, value: ir.Value, first: Any, rest: Shape) -> ir.Value:
    """Reshape to `first`, sizes known when the graph runs, and the sizes of the remaining axes."""
    if None not in rest:
        sizes: Any = as_int64(*(size or 0 for size in rest))
    else:  # the value has as many axes behind those that are reshaped
        shape = g.op("Shape", value)
        sizes = g.op("Slice", shape, as_int64(-len(rest)), as_int64(2**31))
    if not rest:
        return g.op("Reshape", value, first)
    return g.op("Reshape", value, g.op("Concat", first, sizes, axis=0))
