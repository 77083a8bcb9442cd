"""Padding and cropping, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import (
    FORMATS,
    check_operation,
    check_operations,
    converted,
    functional,
    image_shape,
    in_either_layout,
)

L = keras.layers


@pytest.mark.parametrize("data_format", FORMATS)
def test_padding_and_cropping_of_images(data_format: str) -> None:
    shape = image_shape(data_format)
    converted(functional(shape, L.ZeroPadding2D(((1, 2), (0, 3)), data_format=data_format)))
    converted(functional(shape, L.Cropping2D(((1, 2), (0, 3)), data_format=data_format)))
    converted(functional(shape, L.Cropping2D(((1, 0), (2, 0)), data_format=data_format)))


def test_padding_and_cropping_of_sequences() -> None:
    converted(functional((7, 3), L.ZeroPadding1D((1, 2)), L.Conv1D(4, 3), L.Cropping1D((1, 1))))


CASES: dict[str, Callable[[Any], Any]] = {
    "constant": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (1, 0)), constant_values=0.5),
    "reflect": lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 1), (0, 0)), mode="reflect"),
    "symmetric": lambda x: ops.pad(x, ((0, 0), (1, 2), (3, 0), (0, 1)), mode="symmetric"),
    "of the batch": lambda x: ops.pad(x, ((1, 2), (0, 0), (0, 0), (0, 0))),
    "integers": lambda x: ops.pad(
        ops.cast(x * 2, "int32"), ((0, 0), (1, 2), (0, 1), (1, 0)), constant_values=3
    ),
    "bool": lambda x: ops.cast(ops.pad(x > 0, ((0, 0), (1, 2), (0, 1), (1, 0))), "int32"),
    "computed constant": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (1, 0)), constant_values=ops.max(x)),
}


@in_either_layout
def test_operations(channels_first: bool) -> None:
    check_operations(CASES, channels_first)


def test_pad_of_an_unknown_mode_is_unsupported() -> None:
    with pytest.raises(UserError, match="pad with mode='wrap'"):
        check_operation(lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 1), (0, 0)), mode="wrap"))
