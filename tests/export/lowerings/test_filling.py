"""Tensors of one value, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import ops

from tests.export.helpers import CHANNELS, check_operation, converted, in_either_layout

CASES: dict[str, Callable[[Any], Any]] = {
    "ones and zeros": lambda x: x * (ops.ones_like(x) + ops.zeros_like(x)),
    "number": lambda x: ops.full_like(x, 2.5) - x,
    "integers": lambda x: ops.full_like(x, 3, dtype="int32"),
    "bool": lambda x: ops.where(ops.ones_like(x, dtype="bool"), x, 0.0),
    "channels": lambda x: ops.full_like(x, CHANNELS) - x,
    "tensor": lambda x: ops.full_like(x, ops.mean(x, axis=(1, 2), keepdims=True)),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


def test_known_shape() -> None:
    x = keras.Input(batch_shape=(2, 3))
    converted(keras.Model(x, [x, ops.ones_like(x), ops.full_like(x, 2, dtype="int64")]))
