"""Layers that move, cut, pad or repeat."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.convolution import per_axis, spatial
from export.lowerings.registry import register_lowering

layers = keras.layers


@register_lowering(layers.Flatten)
def lower_flatten(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """All axes but the batch in one, channels running fastest."""
    value = x.value
    if x.rank > 2 and layer.data_format == "channels_first":
        value = g.transpose(value, x.shape, [0, *range(2, x.rank), 1])
    return g.result(x, g.reshape(value, g.output_shapes[0]) if x.rank != 2 else value)


@register_lowering(layers.Reshape)
def lower_reshape(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Another shape, the order of the elements kept."""
    return g.result(x, g.reshape(x.value, g.output_shapes[0]))


@register_lowering(layers.Permute)
def lower_permute(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Axes in another order."""
    return g.result(x, g.transpose(x.value, x.shape, [0, *layer.dims]))


@register_lowering(layers.RepeatVector)
def lower_repeat_vector(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """(N, C) -> (N, n, C)."""
    value = g.op("Unsqueeze", x.value, np.array([1], np.int64))
    return g.result(x, g.op("Tile", value, np.array([1, layer.n, 1], np.int64)))


def _pairs(value: Any) -> list[tuple[int, int]]:
    """((before, after), ...) for each spatial axis; a 1-D layer has one pair alone."""
    return (
        [(int(value[0]), int(value[1]))]
        if isinstance(value[0], int)
        else [(int(a), int(b)) for a, b in value]
    )


@register_lowering(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D, any_layout=True)
def lower_zero_padding(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Zeros around the spatial axes."""
    # ZeroPadding1D has had no data_format in all versions; without one it is channels last.
    x = g.channels_first(x) if getattr(layer, "data_format", None) != "channels_first" else g.keras_layout(x)
    pairs = _pairs(layer.padding)
    pads = [0, 0, *(before for before, _ in pairs), 0, 0, *(after for _, after in pairs)]
    return g.result(x, g.op("Pad", x.value, np.array(pads, np.int64)))


@register_lowering(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D, any_layout=True)
def lower_cropping(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Cuts at the spatial axes' ends."""
    x = g.channels_first(x) if getattr(layer, "data_format", None) != "channels_first" else g.keras_layout(x)
    pairs = _pairs(layer.cropping)
    starts = np.array([before for before, _ in pairs], np.int64)
    ends = np.array([-after if after else np.iinfo(np.int64).max for _, after in pairs], np.int64)
    axes: np.ndarray = np.arange(2, 2 + len(pairs), dtype=np.int64)
    return g.result(x, g.op("Slice", x.value, starts, ends, axes))


@register_lowering(layers.UpSampling2D, any_layout=True)
def lower_up_sampling(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Enlargement by whole factors, nearest or bilinear."""
    if layer.interpolation not in ("nearest", "bilinear"):
        raise Unsupported(f"UpSampling2D by {layer.interpolation!r} interpolation")
    x = spatial(g, layer, x)
    scales = np.array([1, 1, *per_axis(layer.size, 2)], np.float32)
    if layer.interpolation == "nearest":
        modes: dict[str, Any] = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
    else:
        modes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return g.result(x, g.op("Resize", x.value, None, scales, **modes))
