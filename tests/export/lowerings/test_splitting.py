"""A tensor split into several, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import ops

from tests.export.helpers import available, check_operations, converted, in_either_layout

CASES: dict[str, Callable[[Any], Any]] = {
    "split": lambda x: ops.split(x, 2, axis=-1)[1] * ops.split(x, [1, 3], axis=-1)[1],
    "split into one": lambda x: ops.split(x, 1, axis=-1)[0] * 2.0,
    "array_split": lambda x: ops.array_split(x, 3, axis=1),
    "array_split into one": lambda x: ops.array_split(x * 2.0, 1, axis=1),
    "array_split of the batch": lambda x: ops.array_split(x, 2, axis=0),
    "hsplit": lambda x: ops.hsplit(x, [2, 3]),
    "dsplit": lambda x: ops.dsplit(x, 2),
    "vsplit": lambda x: ops.vsplit(ops.transpose(x, (1, 0, 2, 3)), 5)[2],
    "unstack": lambda x: ops.unstack(x, axis=1)[2],
}


@in_either_layout
def test_operations(channels_first: bool) -> None:
    check_operations(available(CASES), channels_first)


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_dynamic_dimension(opset: int) -> None:
    x = keras.Input((None, 3), name="x")
    pairs = ops.reshape(ops.repeat(x, 2, axis=1), (-1, 2, 3))
    outputs = [*ops.split(ops.repeat(x, 3, axis=1), 3, axis=1), *ops.split(pairs, [1, 2], axis=0)]
    if hasattr(ops, "array_split"):
        outputs += ops.array_split(x, 2, axis=1)
    converted(keras.Model(x, outputs), opset=opset)
