"""The values that share a mean and a variance: each value once, and in the groups that the layers make."""

from collections.abc import Callable

import pytest

from kerasnorm.shared_values import (
    SharedValues,
    each_channel,
    each_channel_of_ghost_batch,
    each_image,
    each_image_and_channel,
    each_image_and_group,
)


@pytest.mark.parametrize(
    ("shared_values", "sets"),
    [
        (each_channel, 8),
        (each_image, 37),
        (each_image_and_group, 37 * 4),
        (each_image_and_channel, 37 * 8),
        (each_channel_of_ghost_batch, 2 * 8),
    ],
)
def test_every_value_is_in_one_set(
    shared_values: Callable[[int, int, int], list[SharedValues]], sets: int
) -> None:
    found = shared_values(37, 8, 4)
    assert len(found) == sets == len({label for label, _, _ in found})
    values = [(image, channel) for _, images, channels in found for image in images for channel in channels]
    assert sorted(values) == [(image, channel) for image in range(37) for channel in range(8)]


def test_groups_are_of_neighbouring_channels() -> None:
    assert each_image_and_group(1, 4, 2) == [
        ("image 1, group 1", range(1), range(0, 2)),
        ("image 1, group 2", range(1), range(2, 4)),
    ]


def test_a_small_batch_is_one_ghost_batch() -> None:
    assert each_channel_of_ghost_batch(31, 1, 1) == [("ghost batch 1, channel 1", range(31), range(1))]
