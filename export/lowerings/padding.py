"""Padding and cropping."""

from __future__ import annotations

import keras
import numpy as np

from export.builder import Array, Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import as_array, as_int64
from export.lowerings.registry import register_lowering, register_operation

layers = keras.layers


def _pairs(value: tuple[int, int] | tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """((before, after), ...) for each spatial axis; a 1D layer has a single pair."""
    first = value[0]
    if isinstance(first, int):
        return [(first, int(value[1]))]  # type: ignore[arg-type]
    return [(int(before), int(after)) for before, after in value]  # type: ignore[misc]


def _spatial_axes_last(g: Builder, layer: keras.layers.Layer, x: Tensor) -> Tensor:
    # ZeroPadding1D and Cropping1D have no data_format in some versions of Keras, and are then channels last.
    is_first = getattr(layer, "data_format", None) == "channels_first"
    return g.keras_layout(x) if is_first else g.channels_first(x)


@register_lowering(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D, any_layout=True)
def lower_zero_padding(g: Builder, layer: keras.layers.Layer, x: Tensor) -> Tensor:
    """Zeros around the spatial axes."""
    x, pairs = _spatial_axes_last(g, layer, x), _pairs(layer.padding)
    pads = as_int64(0, 0, *(before for before, _ in pairs), 0, 0, *(after for _, after in pairs))
    return g.result(g.op("Pad", x.value, pads), x)


@register_lowering(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D, any_layout=True)
def lower_cropping(g: Builder, layer: keras.layers.Layer, x: Tensor) -> Tensor:
    """Both ends of the spatial axes cut off."""
    x, pairs = _spatial_axes_last(g, layer, x), _pairs(layer.cropping)
    starts = as_int64(*(before for before, _ in pairs))
    ends = as_int64(*(-after if after else np.iinfo(np.int64).max for _, after in pairs))
    return g.result(g.op("Slice", x.value, starts, ends, as_int64(*range(2, 2 + len(pairs)))), x)


@register_operation("pad")
def lower_pad(
    g: Builder, operation: keras.Operation, x: Tensor, constant_values: Array | None = None
) -> Tensor:
    """keras.ops.pad with a constant, or with the tensor's own values mirrored or repeated."""
    modes = {"constant": "constant", "reflect": "reflect", "edge": "edge"}
    mode = modes.get(operation.mode)
    if mode is None:
        raise Unsupported(f"pad with mode={operation.mode!r}")
    width = operation.pad_width
    widths = [width] if isinstance(width, int) else list(width)
    pairs = [(one, one) if isinstance(one, int) else (one[0], one[1]) for one in widths]
    pairs = pairs * x.rank if len(pairs) == 1 else pairs
    order = sorted(range(x.rank), key=lambda axis: g.axis(x, axis))
    pads = as_int64(*(pairs[axis][side] for side in (0, 1) for axis in order))
    value = None if not constant_values else as_array(constant_values, g.output_dtypes[0])
    return g.result(g.op("Pad", x.value, pads, value, mode=mode), x)
