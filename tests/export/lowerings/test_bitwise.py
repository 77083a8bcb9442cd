"""Bitwise operations against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import UserError
from tests.export.helpers import check_operation, compare, in_either_layout, operations

NAMES = ("bitwise_and", "bitwise_or", "bitwise_xor")
SHIFTS = ("left_shift", "right_shift", "bitwise_left_shift", "bitwise_right_shift")


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_bits(dtype: str) -> None:
    lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
    numbers = np.array([lowest, lowest + 5, -7, -1, 0, 1, 6, 1234567, highest], dtype)
    x, y = (np.ascontiguousarray(array.reshape(1, -1)) for array in np.meshgrid(numbers, numbers))
    inverted = {
        name: lambda x, y, name=name: getattr(ops, name)(x) for name in ("bitwise_not", "bitwise_invert")
    }
    constant = {"constant": lambda x, y: ops.bitwise_and(x, numbers[:1])}
    compare({**operations(NAMES), **inverted, **constant}, x, y, opset=18)


def test_shifts() -> None:
    numbers = np.array([-(2**31), -7, -1, 0, 1, 6, 1234567, 2**31 - 1], "int32")
    x, y = (np.ascontiguousarray(array.reshape(1, -1)) for array in np.meshgrid(numbers, [0, 1, 5, 30, 31]))
    constant = {"by a number": lambda x, y: ops.left_shift(x, 3)}
    compare({**operations(SHIFTS), **constant}, x, y.astype("int32"))


def test_numbers_of_fewer_bits() -> None:
    x, y = np.array([[1, 100, 127, 200]], "int32"), np.array([[3, 7, 1, 2]], "int32")
    for dtype in ("uint8", "int8"):
        functions = {
            name: _in_dtype(function, dtype) for name, function in operations((*NAMES, *SHIFTS)).items()
        }
        compare(functions, x, y, opset=18)


def _in_dtype(function: Callable[..., Any], dtype: str) -> Callable[..., Any]:
    return lambda x, y: ops.cast(function(ops.cast(x, dtype), ops.cast(y, dtype)), "int32")


def test_operators_need_a_newer_opset() -> None:
    x = keras.Input((4,), dtype="int32")
    with pytest.raises(UserError, match="BitwiseAnd needs opset 18, got 17; use --opset 18 or higher"):
        convert(keras.Model(x, ops.bitwise_and(x, x)), Options(route="direct", opset=17))


def test_shift_of_int64_is_unsupported() -> None:
    with pytest.raises(UserError, match="a shift of int64 numbers; cast them to int32"):
        check_operation(lambda x: ops.left_shift(ops.cast(x, "int64"), 2))


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    channels = np.array([1, 2, 3, 6], "int32")
    check_operation(lambda x: ops.left_shift(ops.cast(x * 5, "int32"), channels), channels_first)
