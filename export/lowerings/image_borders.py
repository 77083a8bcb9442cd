"""Images cropped and padded by keras.ops.image."""

from __future__ import annotations

import keras

from export.builder import Builder, Tensor
from export.lowerings.convolution import is_channels_last
from export.lowerings.indexing import TO_THE_END
from export.lowerings.operands import as_int64
from export.lowerings.registry import register_operation
from export.lowerings.sizes import Size, size_of, size_vector


def _height_and_width(operation: keras.Operation, images: Tensor) -> tuple[int, int]:
    """The Keras axes of height and width, of one image or of a batch."""
    first = images.rank - (3 if is_channels_last(operation.data_format) else 2)
    return first, first + 1


def _slice_of(before: int | None, target: int | None, after: int | None) -> tuple[int, int]:
    """Start and end of a crop, of which Keras is given two numbers, as a slice has them."""
    end = -after if after else TO_THE_END
    if before is None:
        return -((target or 0) + (after or 0)), end
    return before, end if target is None else before + target


@register_operation("crop_images")
def lower_crop_images(g: Builder, operation: keras.Operation, images: Tensor) -> Tensor:
    """keras.ops.image.crop_images."""
    height = _slice_of(operation.top_cropping, operation.target_height, operation.bottom_cropping)
    width = _slice_of(operation.left_cropping, operation.target_width, operation.right_cropping)
    starts, ends = (as_int64(*pair) for pair in zip(height, width, strict=True))
    axes = as_int64(*(g.axis(images, axis) for axis in _height_and_width(operation, images)))
    return g.result(g.op("Slice", images.value, starts, ends, axes), images)


@register_operation("pad_images")
def lower_pad_images(g: Builder, operation: keras.Operation, images: Tensor) -> Tensor:
    """keras.ops.image.pad_images, with zeros."""

    def pads(axis: int, before: int | None, target: int | None, after: int | None) -> tuple[Size, Size]:
        if before is not None and after is not None:
            return before, after
        given, size = (target or 0) - (before or 0) - (after or 0), size_of(g, images, axis)
        missing = given - size if isinstance(size, int) else g.op("Sub", as_int64(given), size)
        return (missing if before is None else before), (missing if after is None else after)

    height, width = _height_and_width(operation, images)
    amounts = {
        height: pads(height, operation.top_padding, operation.target_height, operation.bottom_padding),
        width: pads(width, operation.left_padding, operation.target_width, operation.right_padding),
    }
    order = sorted(range(images.rank), key=lambda axis: g.axis(images, axis))
    both = [amounts.get(axis, (0, 0)) for axis in order]
    vector = size_vector(g, [*(before for before, _ in both), *(after for _, after in both)])
    return g.result(g.op("Pad", images.value, vector), images)
