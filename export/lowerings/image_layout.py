"""Images as the image operations compute them: a batch, in channels-first layout, whatever the operation was given."""

from __future__ import annotations

from dataclasses import replace

from export.builder import Builder, Tensor
from export.lowerings.convolution import is_channels_last
from export.lowerings.operands import as_int64


def as_images(g: Builder, x: Tensor, data_format: str | None, any_layout: bool = False) -> Tensor:
    """One image or a batch as a Tensor of the Keras shape (N, H, W, C), in channels-first layout unless any will do."""
    if x.rank == 3:
        x = g.tensor(g.op("Unsqueeze", g.keras_layout(x).value, as_int64(0)), (1, *x.shape), dtype=x.dtype)
    if is_channels_last(data_format):
        return x if any_layout else g.channels_first(x)
    x = g.keras_layout(x)
    batch, channels, height, width = x.shape
    return replace(x, shape=(batch, height, width, channels), channels_first=True)


def from_images(g: Builder, images: Tensor, data_format: str | None) -> Tensor:
    """The call's output, one image or a batch in the data format, from what `as_images` returned."""
    if is_channels_last(data_format):
        x = images
    else:
        batch, height, width, channels = images.shape
        x = replace(images, shape=(batch, channels, height, width), channels_first=False)
    if len(g.output_shapes[0]) == 4:
        return g.result(x.value, x)
    return g.result(g.op("Squeeze", g.keras_layout(x).value, as_int64(0)))
