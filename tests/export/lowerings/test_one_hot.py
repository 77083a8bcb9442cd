"""Class numbers as vectors with ones, against Keras."""

import keras
import pytest
from keras import ops

from tests.export.helpers import converted


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_one_hot(axis: int, dtype: str) -> None:
    x = keras.Input((3,), name="x")  # from -2 to 2: Keras has zeros for what is out of range
    vectors = ops.one_hot(ops.cast(x * 2, "int32"), 3, axis=axis, dtype=dtype)
    converted(keras.Model(x, ops.cast(vectors, "float32")))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_multi_hot(shape: tuple[int, ...]) -> None:
    x = keras.Input(shape, name="x")
    # Keras computes float32, but says that it is int32; the Cast makes it one dtype for both.
    converted(keras.Model(x, ops.cast(ops.multi_hot(ops.cast(x * 2, "int32"), 3), "float32")))
