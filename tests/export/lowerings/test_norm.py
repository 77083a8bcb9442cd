"""Norms of vectors and matrices against Keras."""

import math
from typing import Any

import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operation, compare, in_either_layout, random_array

X = random_array(3, 4, 6)


@pytest.mark.parametrize("keepdims", [False, True])
def test_vectors(keepdims: bool) -> None:
    orders = (None, 0, 0.5, 1, 2, 3, -2, math.inf, -math.inf)
    compare({str(o): lambda x, o=o: ops.norm(x, ord=o, axis=1, keepdims=keepdims) for o in orders}, X)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [(1, 2), (2, 1), (-1, 0)], ids=str)
def test_matrices(axis: tuple[int, int], keepdims: bool) -> None:
    orders: Any = (None, "fro", 1, -1, math.inf, -math.inf)
    compare({str(o): lambda x, o=o: ops.norm(x, ord=o, axis=axis, keepdims=keepdims) for o in orders}, X)


def test_integers() -> None:
    compare({"axis": lambda x: ops.norm(x, axis=-1)}, np.arange(-12, 12, dtype="int32").reshape(2, 3, 4))


@pytest.mark.parametrize("order", ["nuc", 2])
def test_norm_by_singular_values_is_unsupported(order: Any) -> None:
    with pytest.raises(UserError, match=f"a matrix norm of order {order!r}, which needs singular values"):
        check_operation(lambda x: ops.norm(x, ord=order, axis=(1, 2)))


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(
        lambda x: ops.norm(x, axis=-1, keepdims=True) + ops.norm(x, ord=3, axis=1, keepdims=True),
        channels_first,
    )
