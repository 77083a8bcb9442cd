"""TimeDistributed: a layer on every step of a sequence."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from export.builder import Builder, Tensor
from export.errors import UserError
from export.lowerings.registry import register_lowering
from export.lowerings.sizes import reshape_to, sizes_of

layers = keras.layers


@register_lowering(layers.TimeDistributed)
def lower_time_distributed(g: Builder, layer: Any, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """The layer on all steps at once: batch and time become one axis."""
    inner = layer.layer
    if inner.quantization_mode is not None:
        raise UserError(
            f"layer {g.name!r} (TimeDistributed): expected a layer in float32 within it, got one that is quantized to "
            f"{inner.quantization_mode}, which Keras runs as if it were not; quantize the model with filters= that "
            "leave it out"
        )
    options = {}
    if mask is not None and "mask" in inspect.signature(inner.call).parameters:
        options["mask"] = _merged(g, mask)
    y = g.keras_layout(g.lower(inner, _merged(g, x), **options))
    return g.result(reshape_to(g, y.value, [*sizes_of(g, x)[:2], *sizes_of(g, y)[1:]]))


def _merged(g: Builder, x: Tensor) -> Tensor:
    value = reshape_to(g, x.value, [-1, *sizes_of(g, x)[2:]])
    return g.tensor(value, (None, *x.shape[2:]), dtype=x.dtype)
