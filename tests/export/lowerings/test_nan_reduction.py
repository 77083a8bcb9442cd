"""Reductions that leave NaN out, against Keras."""

import numpy as np
import pytest
from keras import ops

from export.lowerings.nan_reduction import COMPOSED
from tests.export.helpers import check_operation, compare, in_either_layout, operations, random_array

NAMES = [name for name in COMPOSED if hasattr(ops, name)]
CUMULATIVE = ("nancumsum", "nancumprod")
X = random_array(3, 4, 6)
X[np.random.default_rng(0).random(X.shape) < 0.3] = np.nan
X[0, 0] = X[:, :, 2] = np.nan  # nothing else along an axis

pytestmark = pytest.mark.skipif(not NAMES, reason="this version of Keras has none of them")


@pytest.mark.parametrize("axis", [None, -1, 1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_axes(axis: int | None, keepdims: bool) -> None:
    names = [name for name in NAMES if name not in CUMULATIVE]
    compare(operations(names, axis=axis, keepdims=keepdims), X)


@pytest.mark.parametrize("name", CUMULATIVE)
def test_cumulative(name: str) -> None:
    functions = {str(axis): lambda x, axis=axis: getattr(ops, name)(x, axis=axis) for axis in (1, -1)}
    compare({**functions, "dtype": lambda x: getattr(ops, name)(x, axis=1, dtype="float32")}, X)


def test_integers() -> None:
    x = np.random.default_rng(0).integers(-20, 20, (3, 4, 6)).astype("int32")
    compare(operations(NAMES, axis=1), x)


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(
        lambda x: ops.nanmean(ops.log(x), axis=(1, 2)) + ops.nanmax(ops.sqrt(x), axis=(1, 2)),
        channels_first,
    )
