"""Reshapes and transposes, against Keras."""

from collections.abc import Callable
from typing import Any

import pytest
from keras import layers as L
from keras import ops

from tests.export.helpers import (
    FORMATS,
    check_operation,
    converted,
    functional,
    image_shape,
    in_either_layout,
    kinds,
)

CASES: dict[str, Callable[[Any], Any]] = {
    "reshape": lambda x: ops.reshape(x, (-1, 30, 4)),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "moveaxis and swapaxes": lambda x: ops.swapaxes(ops.moveaxis(x, -1, 1), 1, 2),
    "expand_dims and squeeze": lambda x: (
        ops.squeeze(ops.expand_dims(x, 2), 2) + ops.expand_dims(x[..., 0], -1)
    ),
    "ravel": ops.ravel,
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


@pytest.mark.parametrize("data_format", FORMATS)
def test_flatten_reshape_permute(data_format: str) -> None:
    shape = image_shape(data_format, 4, 3, 5)
    converted(functional(shape, L.Flatten(data_format=data_format), L.Dense(4)))
    converted(functional(shape, L.Reshape((5, 12)), L.Permute((2, 1))))
    converted(functional(shape, L.Reshape((-1, 6)), L.Conv1D(3, 2)))


def test_flatten_of_a_convolution_permutes_the_kernel_of_the_dense_layer() -> None:
    model = functional((6, 5, 2), L.Conv2D(4, 3), L.Flatten(), L.Dropout(0.5), L.Dense(3))
    assert kinds(converted(model)).count("Transpose") == 1  # the input's
