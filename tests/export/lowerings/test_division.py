"""Quotients and remainders against Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.export.helpers import CHANNELS, check_operation, compare, converted, in_either_layout

NAMES = [name for name in ("floor_divide", "mod", "fmod", "divide_no_nan", "divide") if hasattr(ops, name)]
DIVISORS = [-5, -2, -1, 1, 2, 3, 1000]


def test_floats() -> None:
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5, 7.0, 1e6], "float32")
    x, y = (np.ascontiguousarray(array.reshape(1, -1)) for array in np.meshgrid(special, special))
    compare({name: getattr(ops, name) for name in NAMES}, x, y)
    x = keras.Input((5,), name="x")
    converted(keras.Model(x, [*(getattr(ops, name)(x, 0.75) for name in NAMES), ops.divide_no_nan(x, 0.0)]))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers(dtype: str) -> None:
    lowest, highest = np.iinfo(dtype).min + 1, np.iinfo(dtype).max
    grids = np.meshgrid([lowest, -7, -6, -1, 0, 1, 5, 6, highest], DIVISORS)
    x, y = (np.ascontiguousarray(array.reshape(1, -1)).astype(dtype) for array in grids)
    compare(
        {name: getattr(ops, name) for name in NAMES if "divide" not in name or name == "floor_divide"}, x, y
    )
    compare({name: lambda x, y, name=name: getattr(ops, name)(x, 3) for name in NAMES}, x, y)


def test_mixed_dtypes() -> None:
    x, y = np.array([[-7, 0, 3]], "int32"), np.array([[2.5, -1.5, 0.5]], "float32")
    compare({name: getattr(ops, name) for name in NAMES}, x, y)


@pytest.mark.skipif(not hasattr(ops, "gcd"), reason="this version of Keras has no gcd")
def test_greatest_common_divisor_and_least_common_multiple() -> None:
    x = np.array([[0, 0, 12, -12, 17, 1836311903]], "int32")  # the last two are Fibonacci numbers
    y = np.array([[0, 5, 18, 8, 0, 1134903170]], "int32")
    compare({"gcd": ops.gcd}, x, y)
    compare({"lcm": ops.lcm, "gcd": ops.gcd}, x[:, :-1].astype("int64") * 10**9, y[:, :-1].astype("int64"))


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(
        lambda x: ops.floor_divide(x, 0.3) + ops.mod(x, CHANNELS) + ops.divide_no_nan(x, CHANNELS),
        channels_first,
    )
