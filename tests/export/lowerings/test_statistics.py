"""Averages, differences, distances and correlations against Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operation, compare, converted, in_either_layout, random_array

X = random_array(3, 4, 6)
INTEGERS = np.random.default_rng(0).integers(-5, 6, (3, 4, 6)).astype("int32")
WEIGHTS = np.arange(1, 5, dtype="float32")


def test_average() -> None:
    functions = {
        "all": ops.average,
        "axis": lambda x: ops.average(x, axis=1),
        "weights": lambda x: ops.average(x, axis=1, weights=WEIGHTS),
        "weights of x": lambda x: ops.average(x, axis=-1, weights=ops.abs(x) + 1),
    }
    compare(functions, X)
    compare({**functions, "integers": lambda x: ops.average(x, axis=-1, weights=np.arange(1, 7))}, INTEGERS)


def test_differences() -> None:
    compare({str(n): lambda x, n=n: ops.diff(x, n=n, axis=1) for n in (0, 1, 2)}, X)
    compare({"integers": ops.diff, "bool": lambda x: ops.diff(x > 0)}, INTEGERS)


@pytest.mark.skipif(not hasattr(ops, "trapezoid"), reason="this version of Keras has no trapezoid")
def test_trapezoid() -> None:
    functions = {
        "steps of 1": ops.trapezoid,
        "axis": lambda y: ops.trapezoid(y, dx=0.5, axis=1),
        "positions": lambda y: ops.trapezoid(y, x=np.array([0, 1, 3, 4, 6, 9], "float32")),
    }
    compare(functions, X)
    compare(functions, INTEGERS)


@pytest.mark.skipif(not hasattr(ops, "corrcoef"), reason="this version of Keras has no corrcoef")
def test_corrcoef() -> None:
    compare({"matrix": ops.corrcoef}, X[0])
    with pytest.raises(UserError, match="correlation coefficients of a tensor of 4 axes, not 2"):
        check_operation(ops.corrcoef)


@pytest.mark.skipif(not hasattr(ops, "cdist"), reason="this version of Keras has no cdist")
def test_distances() -> None:
    x, y = keras.Input((4, 6), name="x"), keras.Input((3, 6), name="y")
    converted(keras.Model([x, y], ops.cdist(x, y)))


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(
        lambda x: ops.average(x, axis=-1, weights=WEIGHTS) + ops.diff(x)[..., 0],
        channels_first,
    )
