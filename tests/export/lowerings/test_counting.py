"""Operations that count, against Keras."""

import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operation, compare, in_either_layout, random_array

INTEGERS = np.random.default_rng(0).integers(-5, 6, (3, 5)).astype("int32")
FLOATS = np.concatenate([random_array(3, 5), [[np.nan, -1, 0, 0.5, 1]]]).astype("float32")
EDGES = np.array([-1.0, 0.0, 0.5, 1.0], "float32")


def test_bincount() -> None:
    functions = {
        "counts": ops.bincount,
        "minimal length": lambda x: ops.bincount(x, minlength=9),
        "weights": lambda x: ops.bincount(x, weights=np.arange(15, dtype="float32").reshape(3, 5)),
    }
    compare(functions, abs(INTEGERS))


def test_sparse_bincount_is_unsupported() -> None:
    with pytest.raises(UserError, match="a sparse bincount"):
        check_operation(lambda x: ops.bincount(ops.cast(x, "int32"), sparse=True))


def test_edges_of_bins() -> None:
    compare({"digitize": lambda x: ops.digitize(x, EDGES)}, FLOATS)
    compare({"digitize": lambda x: ops.digitize(x, EDGES)}, INTEGERS)
    sides = {side: lambda x, side=side: ops.searchsorted(EDGES, x, side=side) for side in ("left", "right")}
    compare(sides, FLOATS.ravel()[:-5])
    compare(sides, EDGES)


@pytest.mark.skipif(not hasattr(ops, "isin"), reason="this version of Keras has no isin")
def test_isin() -> None:
    compare(
        {
            "matrix": lambda x: ops.isin(x, np.array([[1, 2], [3, -4]], "int32")),
            "invert": lambda x: ops.isin(x, [1, 2], invert=True),
            "floats": lambda x: ops.isin(x, [1.5, 2.0], assume_unique=True),
            "tensor": lambda x: ops.isin(x, x[:, :1] + 1),
        },
        INTEGERS,
    )


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(lambda x: ops.cast(ops.digitize(x, EDGES), "float32") + x, channels_first)
