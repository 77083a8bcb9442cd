"""The values that share a mean and a variance, for pictures and for the workbook."""

from __future__ import annotations

from kerasnorm.norm_layers import GHOST_BATCH_SIZE

# A label, the images and the channels of the values that share a mean and a variance.
SharedValues = tuple[str, range, range]


def each_channel(images: int, channels: int, groups: int) -> list[SharedValues]:
    """A channel over all images."""
    return [(f"channel {c + 1}", range(images), range(c, c + 1)) for c in range(channels)]


def each_image(images: int, channels: int, groups: int) -> list[SharedValues]:
    """An image over all channels."""
    return [(f"image {i + 1}", range(i, i + 1), range(channels)) for i in range(images)]


def each_image_and_group(images: int, channels: int, groups: int) -> list[SharedValues]:
    """An image and a group of neighbouring channels."""
    size = channels // groups
    return [
        (f"image {i + 1}, group {g + 1}", range(i, i + 1), range(g * size, (g + 1) * size))
        for i in range(images)
        for g in range(groups)
    ]


def each_image_and_channel(images: int, channels: int, groups: int) -> list[SharedValues]:
    """An image and a channel."""
    return [
        (f"image {i + 1}, channel {c + 1}", range(i, i + 1), range(c, c + 1))
        for i in range(images)
        for c in range(channels)
    ]


def each_channel_of_ghost_batch(images: int, channels: int, groups: int) -> list[SharedValues]:
    """A channel over the images of a ghost batch, as `GhostBatchNormalization` divides the images."""
    ghosts = max(1, images // GHOST_BATCH_SIZE)
    ghost_of_image = [i * ghosts // images for i in range(images)]
    starts = [ghost_of_image.index(g) for g in range(ghosts)] + [images]
    return [
        (f"ghost batch {g + 1}, channel {c + 1}", range(starts[g], starts[g + 1]), range(c, c + 1))
        for g in range(ghosts)
        for c in range(channels)
    ]
