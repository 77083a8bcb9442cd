"""Joining, splitting and repeating tensors, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers as L
from keras import ops

from export.errors import UserError
from tests.export.helpers import CHANNELS, check_operation, converted, functional, in_either_layout, randomize

CASES: dict[str, Callable[[Any], Any]] = {
    "concatenate": lambda x: ops.concatenate(
        [x, x * 2.0, ops.broadcast_to(CHANNELS, (1, 5, 6, 4)) + 0 * x], -1
    ),
    "concatenate rows": lambda x: ops.concatenate([x, -x], axis=1),
    "stack": lambda x: ops.stack([x, x + 1.0], axis=1),
    "split": lambda x: ops.split(x, 2, axis=-1)[1] * ops.split(x, [1, 3], axis=-1)[1],
    "unstack": lambda x: ops.unstack(x, axis=1)[2],
    "repeat and tile": lambda x: ops.repeat(x, 2, axis=-1) + ops.tile(x, (1, 1, 1, 2)),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


@pytest.mark.parametrize("given", ["images", "vectors", "one image in channels-first layout"])
def test_concatenate_layer(given: str) -> None:
    shape = (4,) if given == "vectors" else (5, 6, 4)
    inputs = [keras.Input(shape, name=name) for name in "ab"]
    one, two = inputs
    if given == "one image in channels-first layout":
        one = L.Conv2D(4, 3, padding="same")(one)
    converted(randomize(keras.Model(inputs, L.Concatenate()([one, two]))))


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_concatenate_layer_along_any_axis(axis: int) -> None:
    x = keras.Input((5, 5, 4))
    branches = [L.Conv2D(4, 3, padding="same")(x), L.Conv2D(4, 1)(x), x]
    converted(randomize(keras.Model(x, L.Concatenate(axis=axis)(branches))))


def test_repeat_vector() -> None:
    converted(functional((5,), L.RepeatVector(3), L.Conv1D(3, 2)))


def test_repeat_without_axis_is_unsupported() -> None:
    with pytest.raises(UserError, match="a repeat without an axis, or by several numbers"):
        check_operation(lambda x: ops.repeat(x, [1, 2, 1, 1], axis=-1))


def test_repeat_along_dynamic_dimension_is_unsupported() -> None:
    with pytest.raises(UserError, match="a repeat along a dynamic dimension"):
        check_operation(lambda x: ops.repeat(x, 2, axis=0))
