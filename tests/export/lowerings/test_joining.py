"""Tensors joined into one, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers as L
from keras import ops

from tests.export.helpers import CHANNELS, available, check_operations, converted, in_either_layout, randomize

CASES: dict[str, Callable[[Any], Any]] = {
    "concatenate": lambda x: ops.concatenate(
        [x, x * 2.0, ops.broadcast_to(CHANNELS, (1, 5, 6, 4)) + 0 * x], -1
    ),
    "concatenate rows": lambda x: ops.concatenate([x, -x], axis=1),
    "stack": lambda x: ops.stack([x, x + 1.0], axis=1),
    "append": lambda x: ops.append(x, x * 2.0, axis=1),
    "append all elements": lambda x: ops.append(x, CHANNELS * ops.ones((2, 4))),
    "vstack": lambda x: ops.vstack([x, x + 1.0]),
    "hstack": lambda x: ops.hstack([x, x + 1.0]),
    "dstack": lambda x: ops.dstack([x, x[:, :, :1]]),
    "dstack of matrices": lambda x: ops.dstack([x[:, 0, 0], x[:, 1, 1]]),
    "dstack of vectors": lambda x: ops.dstack([x[:, 0, 0, 0], x[:, 1, 1, 1]]),
}


@in_either_layout
def test_operations(channels_first: bool) -> None:
    check_operations(available(CASES), channels_first)


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
