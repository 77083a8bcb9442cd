"""Diagonals and triangles of matrices against Keras."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operation, compare, converted, in_either_layout, random_array

X = random_array(2, 4, 6)
INTEGERS = np.random.default_rng(0).integers(-5, 6, (2, 4, 6)).astype("int32")
OFFSETS = (0, 1, -2)


@pytest.mark.parametrize("array", [X, INTEGERS, X > 0], ids=["float32", "int32", "bool"])
def test_diagonals(array: np.ndarray) -> None:
    functions: dict[str, Any] = {}
    for k in OFFSETS:
        functions[f"diagonal {k}"] = lambda x, k=k: ops.diagonal(x, offset=k, axis1=1, axis2=2)
        functions[f"columns first {k}"] = lambda x, k=k: ops.diagonal(x, offset=k, axis1=2, axis2=-2)
        functions[f"diagflat {k}"] = lambda x, k=k: ops.diagflat(x, k)
    compare({**functions, "trace": lambda x: ops.trace(x, axis1=1, axis2=2)}, array)


def test_diag() -> None:
    compare({str(k): lambda x, k=k: ops.diag(x, k) for k in OFFSETS}, X[0, 0])
    matrix = keras.Input(batch_shape=(4, 6), name="x")
    converted(keras.Model(matrix, [ops.diag(matrix, k) for k in OFFSETS]))


def test_diagonal_of_dynamic_size_is_unsupported() -> None:
    with pytest.raises(UserError, match="a diagonal of matrices of dynamic size"):
        check_operation(lambda x: ops.diagonal(x, axis1=0, axis2=1))


@pytest.mark.parametrize("array", [X, INTEGERS, X > 0], ids=["float32", "int32", "bool"])
def test_triangles(array: np.ndarray) -> None:
    lower = {f"tril {k}": lambda x, k=k: ops.tril(x, k) for k in OFFSETS}
    compare({**lower, **{f"triu {k}": lambda x, k=k: ops.triu(x, k) for k in OFFSETS}}, array)


@pytest.mark.skipif(not hasattr(ops, "vander"), reason="this version of Keras has no vander")
def test_vander() -> None:
    functions = {"falling": lambda x: ops.vander(x, 3), "rising": lambda x: ops.vander(x, 4, increasing=True)}
    compare(functions, X[0, 0])
    compare(functions, INTEGERS[0, 0])
    with pytest.raises(UserError, match="a Vandermonde matrix of dynamic size"):
        compare({"all": ops.vander}, X[0, 0])


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(lambda x: ops.tril(x) + ops.trace(x, axis1=1, axis2=-1)[:, None, :, None], channels_first)
