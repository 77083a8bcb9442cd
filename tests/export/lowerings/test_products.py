"""Products of tensors against Keras."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import KERAS, check_operation, compare, converted, in_either_layout, random_array

X = random_array(2, 4, 6)
INTEGERS = np.random.default_rng(0).integers(-5, 6, (2, 4, 6)).astype("int32")
KRONECKER = random_array(1, 2, 2)


def test_dot() -> None:
    functions: dict[str, Any] = {
        str(shape): lambda x, shape=shape: ops.dot(x, random_array(*shape))
        for shape in [(6,), (6, 3), (2, 6, 3)]
    }
    compare({**functions, "number": lambda x: ops.dot(x, 3.0)}, X, atol=1e-5)
    compare({"integers": lambda x: ops.dot(x, np.arange(18, dtype="int32").reshape(6, 3))}, INTEGERS)


def test_tensordot() -> None:
    compare(
        {
            "one axis": lambda x: ops.tensordot(x, random_array(6, 3), axes=1),
            "two axes": lambda x: ops.tensordot(x, random_array(4, 6, 3), axes=2),
            "no axis": lambda x: ops.tensordot(x, random_array(3), axes=0),
            "pairs": lambda x: ops.tensordot(x, random_array(6, 3, 4), axes=[[1, -1], [2, 0]]),
            "two tensors": lambda x: ops.tensordot(x, x + 1, axes=[[1, 2], [1, 2]]),
        },
        X,
        atol=1e-5,
    )
    compare({"integers": lambda x: ops.tensordot(x, np.arange(6, dtype="int32"), axes=1)}, INTEGERS)


@pytest.mark.parametrize("array", [X, INTEGERS], ids=["float32", "int32"])
def test_outer_and_vdot(array: np.ndarray) -> None:
    compare(
        {
            "outer": lambda x: ops.outer(x, array[0, 0]),
            "vdot": lambda x: ops.vdot(x, x),
        },
        array,
        atol=1e-5,
    )


@pytest.mark.skipif(KERAS <= (3, 8), reason="Keras 3.8 states another shape")
@pytest.mark.parametrize("array", [X, INTEGERS], ids=["float32", "int32"])
def test_inner(array: np.ndarray) -> None:
    functions = {"matrix": lambda x: ops.inner(x, array[0]), "number": lambda x: ops.inner(x, array[0, 0, 0])}
    compare(functions, array, atol=1e-5)


def test_cross() -> None:
    x, y = random_array(2, 5, 3), random_array(2, 5, 3, seed=1)
    functions: dict[str, Any] = {
        f"{first} and {second}": lambda x, y, first=first, second=second: ops.cross(
            x[..., :first], y[..., :second]
        )
        for first in (2, 3)
        for second in (2, 3)
    }
    if KERAS > (3, 8):
        functions["axes"] = lambda x, y: ops.cross(ops.transpose(x, (0, 2, 1)), y, axisa=1, axisb=2, axisc=1)
    compare({**functions, "constant": lambda x, y: ops.cross(x, y[0, 0])}, x, y)


def test_cross_along_dynamic_dimension_is_unsupported() -> None:
    x = keras.Input((None,), name="x")
    with pytest.raises(UserError, match="a cross product along a dynamic dimension"):
        converted(keras.Model(x, ops.cross(x, x)))


@pytest.mark.skipif(not hasattr(ops, "kron"), reason="this version of Keras has no kron")
def test_kron() -> None:
    compare({"kron": lambda x: ops.kron(x, KRONECKER)}, X)
    compare({"kron": lambda x: ops.kron(x, np.arange(4, dtype="int32").reshape(1, 2, 2))}, INTEGERS)
    with pytest.raises(UserError, match="a Kronecker product of tensors of 4 and 3 axes"):
        check_operation(lambda x: ops.kron(x, KRONECKER))


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(
        lambda x: ops.dot(x, random_array(4, 3)) + ops.tensordot(x, random_array(4, 3), axes=1),
        channels_first,
    )
