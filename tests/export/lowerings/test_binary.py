"""Functions of two tensors against Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from export.lowerings.binary import COMPOSED
from tests.export.helpers import CHANNELS, check_operation, compare, converted, in_either_layout

NAMES = [name for name in (*COMPOSED, "maximum", "minimum") if hasattr(ops, name)]
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -3e38, 1.0, -2.5, 30.0, -120.0], "float32")


def test_functions() -> None:
    x, y = keras.Input((3, 5), name="x"), keras.Input((5,), name="y")
    names = [name for name in NAMES if name != "ldexp"]
    outputs = [getattr(ops, name)(x, y[:, None]) for name in names]
    converted(keras.Model([x, y], [*outputs, *(getattr(ops, name)(x, CHANNELS[:1]) for name in names)]))


def test_special_values() -> None:
    x, y = (np.ascontiguousarray(array.reshape(1, -1)) for array in np.meshgrid(SPECIAL, SPECIAL))
    compare({name: getattr(ops, name) for name in NAMES if name != "ldexp"}, x, y)


def test_integers() -> None:
    x = np.array([[-7, -1, 0, 1, 2, 3]], "int32")
    y = np.array([[2, -1, 0, 4, 5, 3]], "int32")
    names = [name for name in NAMES if name != "heaviside"]
    compare({name: getattr(ops, name) for name in names}, x, y)
    compare({name: getattr(ops, name) for name in names if name != "ldexp"}, x, y.astype("float32"))
    compare({"power": lambda x, y: ops.power(x, ops.abs(y))}, x, y)


@pytest.mark.skipif(not hasattr(ops, "ldexp"), reason="this version of Keras has no ldexp")
def test_ldexp() -> None:
    x = SPECIAL.reshape(1, -1)
    compare({"ldexp": ops.ldexp}, x, np.arange(-5, 6, dtype="int32").reshape(1, -1))


CASES = {
    "maximum and minimum": lambda x: ops.maximum(x, 0.3) + ops.minimum(x, CHANNELS),
    "power": lambda x: ops.power(ops.absolute(x) + 0.1, 1.5),
    "arctan2 logaddexp": lambda x: ops.arctan2(x, CHANNELS) + ops.logaddexp(x, 0.5),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)
