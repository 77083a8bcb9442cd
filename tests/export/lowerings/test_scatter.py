"""Values written to positions, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operations, converted, in_either_layout

PLACES = np.array([[0, 1], [0, 3], [0, 1]])

CASES: dict[str, Callable[[Any], Any]] = {
    "scatter": lambda x: ops.scatter(PLACES, x[0, 0, :3], (2, 5, 4)),
    "scatter to computed places": lambda x: ops.scatter(
        ops.argmax(x[0], axis=-1)[:, :1], ops.cast(x[0, :, 0, 0] * 4, "int32"), (4,)
    ),
    "scatter_update": lambda x: ops.scatter_update(x, PLACES[1:], np.ones((2, 6, 4), "float32")),
    "scatter_update of a constant": lambda x: ops.scatter_update(
        np.zeros((2, 5, 4), "float32"), PLACES[1:], x[0, 0, :2]
    ),
    "slice_update": lambda x: ops.slice_update(x, (0, 1, 2, 0), x[:, :2, :3] * 2.0),
    "slice_update of an axis": lambda x: ops.slice_update(x, (0, 3, 0, 0), x[:, :2] * 2.0),
    "slice_update of the first one": lambda x: ops.slice_update(x, (0, 0, 0, 1), x[:1, 1:, 1:, 1:] * 2.0),
    "slice_update at a computed place": lambda x: ops.slice_update(
        x, (0, ops.argmax(x[0, :4, 0, 0]), 0, 0), x[:, :2] * 2.0
    ),
}


@in_either_layout
def test_operations(channels_first: bool) -> None:
    check_operations(CASES, channels_first)


@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
def test_scatter_update_with_a_reduction(reduction: str) -> None:
    x = keras.Input((5, 4), name="x")
    try:
        y = ops.scatter_update(x, PLACES[:, :2], np.full((3, 4), 0.5, "float32"), reduction=reduction)
    except TypeError:
        pytest.skip("this version of Keras has no reductions")
    model = keras.Model(x, y)
    converted(model)
    if reduction in ("max", "min"):
        with pytest.raises(UserError, match=f"ScatterND with reduction='{reduction}' needs opset 18, got 17"):
            converted(model, opset=17)
