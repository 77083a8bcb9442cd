"""Values repeated along axes, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operation, check_operations, converted, functional, in_either_layout

CASES: dict[str, Callable[[Any], Any]] = {
    "broadcast_to": lambda x: ops.reshape(
        ops.broadcast_to(ops.mean(x, 0, keepdims=True), (2, 5, 6, 4)), (-1, 4)
    ),
    "repeat and tile": lambda x: ops.repeat(x, 2, axis=-1) + ops.tile(x, (1, 1, 1, 2)),
    "tile to more axes": lambda x: ops.transpose(ops.tile(x, (2, 1, 3, 1, 1)), (1, 0, 2, 3, 4)),
    "repeat by several numbers": lambda x: ops.repeat(x, [1, 2, 0, 1], axis=-1),
    "repeat by an array": lambda x: ops.repeat(x, np.array([3]), axis=1),
    "repeat of the batch": lambda x: ops.repeat(x, 2, axis=0),
    "repeat of all elements": lambda x: ops.repeat(x, 2),
    "meshgrid": lambda x: [
        one * ops.max(x) for one in ops.meshgrid(x[0, :, 0, 0], x[0, 0, :, 0], x[0, 0, 0])
    ],
    "meshgrid by rows": lambda x: ops.meshgrid(x[:, 1, 0, 0], x[0, 0], indexing="ij"),
}


@in_either_layout
def test_operations(channels_first: bool) -> None:
    check_operations(CASES, channels_first)


def test_repeat_vector() -> None:
    converted(functional((5,), L.RepeatVector(3), L.Conv1D(3, 2)))


def test_repeat_of_dynamic_dimensions() -> None:
    x = keras.Input((None, None, 3), name="x")
    outputs = [ops.repeat(x, 2, axis=axis) for axis in (0, 1, 2, 3)]
    converted(keras.Model(x, [*outputs, ops.repeat(x, 3), ops.tile(x, (1, 2, 1, 2))]))


def test_repeat_of_a_dynamic_dimension_by_several_numbers_is_unsupported() -> None:
    with pytest.raises(UserError, match="a repeat of a dynamic dimension by several numbers"):
        check_operation(lambda x: ops.repeat(x, [1, 2, 1], axis=0))
