import keras
import numpy as np
import pytest
from keras import ops

from export.keras_values import as_numpy, is_tensor, same_dtype, without_gradients


def test_values_become_arrays() -> None:
    for value in (
        keras.Variable([1.0, 2.0]),
        ops.convert_to_tensor([1.0, 2.0]),
        [1.0, 2.0],
        np.array([1.0, 2.0]),
    ):
        np.testing.assert_array_equal(as_numpy(value), [1.0, 2.0])


def test_only_a_tensor_with_a_value_is_a_tensor() -> None:
    assert is_tensor(ops.ones(2))
    assert not any(map(is_tensor, (keras.Variable(1.0), keras.Input((2,)), np.ones(2), 1.0, "mode")))


@pytest.mark.parametrize(
    ("backend", "got", "of_keras", "same"),
    [
        ("tensorflow", "int64", "int64", True),
        ("tensorflow", "int64", "int32", False),
        ("jax", "int64", "int32", True),
        ("torch", "int32", "int64", True),
        ("jax", "int64", "float32", False),
        ("jax", "int16", "int32", False),
        ("jax", "float32", "float16", False),
    ],
)
def test_numbers_of_32_and_64_bits(
    monkeypatch: pytest.MonkeyPatch, backend: str, got: str, of_keras: str, same: bool
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    assert same_dtype(np.dtype(got), np.dtype(of_keras)) is same


def test_nothing_happens_without_pytorch() -> None:
    with without_gradients():
        assert is_tensor(ops.ones(2))
