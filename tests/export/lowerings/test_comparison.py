"""Comparisons, logic and choices against Keras."""

import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import CHANNELS, check_operation, compare, in_either_layout

OF_TWO = [
    *("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"),
    *("logical_and", "logical_or", "logical_xor", "isclose"),
    *(["allclose"] if hasattr(ops, "allclose") else []),
]
OF_ONE = [
    *("logical_not", "isnan", "isinf", "isfinite"),
    *(name for name in ("isposinf", "isneginf", "signbit") if hasattr(ops, name)),
]
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 1.00001, 1.001, -2.5], "float32")


def test_floats() -> None:
    x, y = (np.ascontiguousarray(array.reshape(1, -1)) for array in np.meshgrid(SPECIAL, SPECIAL))
    x[np.isnan(x)] = -x[np.isnan(x)]  # Keras looks at the sign of a NaN; this one has none
    compare({name: getattr(ops, name) for name in OF_TWO}, x, y)
    compare({name: getattr(ops, name) for name in OF_ONE}, abs(SPECIAL.reshape(1, -1)))
    compare({name: getattr(ops, name) for name in OF_ONE}, SPECIAL[1:].reshape(1, -1))
    compare(
        {
            "isclose": lambda x, y: ops.isclose(x, y, 1e-2, 1e-3, equal_nan=True),
            "select": lambda x, y: ops.select([x > 0, y > 0], [x, y], 7.0),
            "bool": lambda x, y: ops.where(x > 0, x > y, y > 0),
            "integers": lambda x, y: ops.where(x > 0, ops.cast(y > 0, "int32"), 3),
            "promotion": lambda x, y: ops.where(x > 0, ops.cast(y > 0, "int32"), 2.5),
        },
        x,
        y,
    )


@pytest.mark.skipif(not hasattr(ops, "allclose"), reason="this version of Keras has no allclose")
@pytest.mark.parametrize("difference", [0.0, 5e-3, 2e-2])
def test_allclose(difference: float) -> None:
    x = SPECIAL[1:].reshape(1, -1)
    compare({"allclose": lambda x, y: ops.allclose(x, y, 1e-2, 1e-3)}, x, x * np.float32(1 + difference))


@pytest.mark.parametrize("dtype", ["int32", "bool", "uint8"])
def test_integers(dtype: str) -> None:
    x, y = np.array([[1, 0, 3, 200]]).astype(dtype), np.array([[1, 1, 0, 100]]).astype(dtype)
    not_of_bools = ("greater", "greater_equal", "less", "less_equal", "isclose") if dtype == "bool" else ()
    of_integers = {name: getattr(ops, name) for name in OF_TWO if name not in not_of_bools}
    if dtype != "uint8":  # as an input of a graph, it is pixels
        compare(of_integers, x, y)
        compare({name: getattr(ops, name) for name in OF_ONE}, x)
        return
    casts = {
        name: lambda x, y, f=f: f(ops.cast(x, "uint8"), ops.cast(y, "uint8"))
        for name, f in of_integers.items()
    }
    compare(
        {**casts, "constant": lambda x, y: ops.cast(x, "uint8") < 300}, x.astype("int32"), y.astype("int32")
    )


CASES = {
    "where": lambda x: ops.where(x > 0.1, x, x * 0.1),
    "where with channels": lambda x: ops.where(ops.logical_not(x >= CHANNELS), CHANNELS, x),
    "logic": lambda x: ops.cast(ops.logical_or(ops.logical_and(x > 0, x < 1), x != x), "float32") - x,
    "not equal": lambda x: ops.where(ops.not_equal(ops.sign(x), 1), x, 2.0),
    "tests": lambda x: ops.where(ops.isnan(ops.log(x)), 0.0, ops.where(ops.isfinite(x), x, 1.0)),
    "select": lambda x: ops.select([x > CHANNELS, x > 0], [x, ops.exp(x)], -1.0),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


def test_where_without_values_is_unsupported() -> None:
    with pytest.raises(UserError, match=r"\(Where\): where without values"):
        check_operation(lambda x: ops.where(x > 0)[0])
