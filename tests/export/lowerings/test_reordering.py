"""Elements in another order, against Keras."""

from collections.abc import Callable
from typing import Any

from keras import ops

from tests.export.helpers import available, check_operation, check_operations, in_either_layout, kinds

CASES: dict[str, Callable[[Any], Any]] = {
    "flip": lambda x: ops.flip(ops.flip(x, axis=1), axis=-1),
    "flip of all axes": ops.flip,
    "fliplr": lambda x: ops.fliplr(x) * 2.0,
    "flipud": lambda x: ops.flipud(x) * 2.0,
    "rot90": lambda x: ops.rot90(x, axes=(1, 2)),
    "rot90 backwards": lambda x: ops.rot90(x, k=-1, axes=(2, -1)),
    "rot90 by 0": lambda x: ops.rot90(x[:, :, :5], k=4, axes=(1, 2)) * 2.0,
    "rot90 twice": lambda x: ops.rot90(x[:, :, :5], k=2, axes=(1, 2)),
    "roll": lambda x: ops.roll(x, 2, axis=1),
    "roll along several axes": lambda x: ops.roll(x, (-1, 7), axis=(1, -1)),
    "roll of the batch": lambda x: ops.roll(x, -2, axis=0),
    "roll of all elements": lambda x: ops.roll(x, 5),
    "roll by 0": lambda x: ops.roll(x, 5, axis=1) * 2.0,
}


@in_either_layout
def test_operations(channels_first: bool) -> None:
    check_operations(available(CASES), channels_first)


def test_roll_is_a_split_and_a_concat() -> None:
    assert kinds(check_operation(CASES["roll"])) == ["Split", "Concat"]
