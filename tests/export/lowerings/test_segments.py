"""Rows combined by segment, against Keras."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import converted

NAMES = [name for name in ("sum", "max", "min", "prod") if hasattr(ops, f"segment_{name}")]


def segments(name: str, x: Any, *args: Any, **kwargs: Any) -> Any:
    return getattr(ops, f"segment_{name}")(x, *args, **kwargs)


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize("name", NAMES)
def test_segments_of_computed_and_of_constant_numbers(name: str, opset: int) -> None:
    x = keras.Input((6, 2), name="x")
    numbers = ops.argmax(x[:, 0, :], axis=-1) * 2 - ops.cast(x[:, 1, 0] > 0, "int32")  # some are -1
    rows = ops.transpose(x, (1, 0, 2))
    outputs = [
        segments(name, x[:, :, 0], numbers, num_segments=4),
        segments(name, x[:, 0, 0], numbers, num_segments=4),
        segments(name, rows, np.array([2, 0, 2, 1, 4, 0]), num_segments=5),
        segments(name, rows, np.array([2, 0, 2, 1, 1, 0])),
        segments(name, rows, np.array([0, 0, 1, 1, 1, 2]), sorted=True),
        segments(name, ops.cast(rows * 3, "int32"), np.array([2, 0, 2, 1, 4, 0]), num_segments=5),
    ]
    # An empty segment has the dtype's lowest or highest number, which is another one in float64.
    converted(keras.Model(x, [ops.clip(y, -9999, 9999) for y in outputs]), opset=opset)


def test_unknown_number_of_segments_is_unsupported() -> None:
    x = keras.Input((6,), name="x")
    with pytest.raises(UserError, match="segments without num_segments; give it"):
        converted(keras.Model(x, ops.segment_sum(x, ops.argmax(x, axis=-1))))
    x = keras.Input(batch_shape=(3, 6), name="x")
    with pytest.raises(UserError, match="of which some are empty; give num_segments"):
        converted(keras.Model(x, ops.segment_max(x, np.array([0, 0, 2]))))
