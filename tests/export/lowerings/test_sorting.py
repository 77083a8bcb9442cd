"""Sorting and selection against Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.export.helpers import KERAS, check_operation, compare, converted, in_either_layout, random_array

FLOATS = random_array(3, 4, 6)
INTEGERS = np.random.default_rng(0).integers(-3, 4, (3, 4, 6)).astype("int32")  # many are equal
AXES = (-1, 1, None) if KERAS > (3, 8) else (-1, 1)
FUNCTIONS = {
    **{f"sort {axis}": lambda x, axis=axis: ops.sort(x, axis=axis) for axis in AXES},
    **{f"argsort {axis}": lambda x, axis=axis: ops.argsort(x, axis=axis) for axis in AXES},
}


@pytest.mark.parametrize("array", [FLOATS, INTEGERS, INTEGERS > 0], ids=["float32", "int32", "bool"])
def test_sort(array: np.ndarray) -> None:
    compare(FUNCTIONS, array)


@pytest.mark.parametrize("array", [FLOATS, INTEGERS], ids=["float32", "int32"])
def test_top_k(array: np.ndarray) -> None:
    unsorted = {"sum": lambda x: ops.sum(ops.top_k(x, 3, sorted=False)[0], axis=-1)}
    compare(
        {"values": lambda x: ops.top_k(x, 2)[0], "indices": lambda x: ops.top_k(x, 2)[1], **unsorted}, array
    )


def test_in_top_k() -> None:
    predictions = random_array(6, 5)
    predictions[1, 1], predictions[2, 1] = np.inf, np.nan
    targets = np.array([0, 1, 2, 7, 4, -1], "int32")
    compare({str(k): lambda t, p, k=k: ops.in_top_k(t, p, k) for k in (1, 2, 4)}, targets, predictions)


def test_sort_along_dynamic_dimension() -> None:
    x = keras.Input((None, 3), name="x")
    converted(keras.Model(x, [ops.sort(x, axis=1), ops.argsort(x, axis=1)]))


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(
        lambda x: [ops.sort(x, axis=1), ops.argsort(x), *ops.top_k(x, 3), ops.sort(x, axis=AXES[-1])],
        channels_first,
    )
