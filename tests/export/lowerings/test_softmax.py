"""Softmax, its logarithm and sparsemax against Keras."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

from tests.export.helpers import (
    check_operation,
    compare,
    converted,
    functional,
    in_either_layout,
    kinds,
    random_array,
)

X = random_array(3, 4, 6) * 30
MASK = np.random.default_rng(0).random((3, 4, 6)) > 0.5
MASK[0, 0] = False  # nothing is kept


def test_operations() -> None:
    functions = {
        f"{function.__name__} {axis}": lambda x, function=function, axis=axis: function(x, axis=axis)
        for function in (ops.softmax, ops.log_softmax)
        for axis in (-1, 1, None)
    }
    compare(
        {**functions, "sparsemax": ops.sparsemax, "axis": lambda x: ops.sparsemax(x, axis=1)}, X, rtol=2e-5
    )


@pytest.mark.parametrize("axis", [-1, 1, [2], [1, 2], [1, -1]], ids=str)
def test_layer(axis: Any) -> None:
    converted(functional((5, 6, 4), L.Conv2D(4, 3, padding="same"), L.Softmax(axis=axis)))


def test_layer_with_mask() -> None:
    functions = {
        "mask": lambda x, mask: L.Softmax()(x, mask=mask),
        "several axes": lambda x, mask: L.Softmax(axis=[1, 2])(x, mask=mask),
        "numbers": lambda x, mask: L.Softmax()(x, mask=ops.cast(mask, "float32")),
        "mask of lower rank": lambda x, mask: L.Softmax()(x, mask=ops.all(mask, axis=(0, 1))),
    }
    compare(functions, X, MASK)


def test_mask_in_either_layout() -> None:
    x, mask = keras.Input((5, 6, 4), name="x"), keras.Input((5, 6, 4), name="mask")
    converted(keras.Model([x, mask], L.Softmax()(L.Conv2D(4, 3, padding="same")(x), mask=mask > 0)))


def test_sparsemax_along_dynamic_dimension() -> None:
    x = keras.Input((None, 3), name="x")
    converted(keras.Model(x, ops.sparsemax(x, axis=1)))


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(
        lambda x: ops.softmax(x) + ops.softmax(x, axis=1) + ops.log_softmax(x) + ops.sparsemax(x),
        channels_first,
    )


@pytest.mark.parametrize("activation", ["softmax", "log_softmax"])
def test_channels_of_an_image_are_last(activation: str) -> None:
    operators = kinds(converted(functional((5, 6, 1), L.Conv2D(3, 2, activation=activation))))
    assert operators[:3] == ["Reshape", "Conv", "Transpose"]
    assert len(operators) == 4
