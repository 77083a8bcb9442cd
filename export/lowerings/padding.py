"""Padding and cropping."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import Argument, as_int64, as_value
from export.lowerings.registry import register_lowering, register_operation
from export.lowerings.sizes import Size, size_vector

layers = keras.layers

BEFORE_THE_START = -np.iinfo(np.int64).max


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
    g: Builder, operation: keras.Operation, x: Tensor, constant_values: Argument | None = None
) -> Tensor:
    """keras.ops.pad with a constant, or with the tensor's own values mirrored or repeated."""
    width = operation.pad_width
    widths = [width] if isinstance(width, int) else list(width)
    pairs = [(one, one) if isinstance(one, int) else (int(one[0]), int(one[-1])) for one in widths]
    pairs = pairs * x.rank if len(pairs) == 1 else pairs
    return pad(g, x, pairs, operation.mode, constant_values)


def pad(
    g: Builder, x: Tensor, pairs: Sequence[tuple[Size, Size]], mode: str, constant: Argument | None
) -> Tensor:
    """`x` made longer: each Keras axis at its start and at its end."""
    if mode == "symmetric":
        return g.result(_pad_symmetrically(g, x, pairs), x)
    if mode not in ("constant", "reflect", "edge"):
        raise Unsupported(f"pad with mode={mode!r}")
    order = sorted(range(x.rank), key=lambda axis: g.axis(x, axis))
    pads = size_vector(g, [pairs[axis][side] for side in (0, 1) for axis in order])
    is_zero = not isinstance(constant, Tensor) and not constant
    value = None if constant is None or is_zero else as_value(g, constant, g.output_dtypes[0])
    return g.result(g.op("Pad", x.value, pads, value, mode=mode), x)


def _pad_symmetrically(g: Builder, x: Tensor, pairs: Sequence[tuple[Size, Size]]) -> ir.Value:
    """Values mirrored at the edges, which are repeated. ONNX's Pad has only a mirror that doesn't repeat them."""
    value, backwards = x.value, as_int64(-1)
    for keras_axis, (before, after) in enumerate(pairs):
        if not isinstance(before, int) or not isinstance(after, int):
            raise Unsupported("pad with mode='symmetric' by a dynamic size")
        axis = g.axis(x, keras_axis)
        parts = [value]
        if before:
            start = as_int64(before - 1)
            parts.insert(
                0, g.op("Slice", value, start, as_int64(BEFORE_THE_START), as_int64(axis), backwards)
            )
        if after:
            end = as_int64(-after - 1)
            parts.append(g.op("Slice", value, backwards, end, as_int64(axis), backwards))
        value = parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=axis)
    return value
