"""Hashing of integers against Keras, over all lengths of a number."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L

from export.errors import UserError
from tests.export.helpers import compare, converted

POWERS = [10**n for n in range(19)]
EDGES = np.array(
    [
        0,
        *POWERS,
        *(p - 1 for p in POWERS),
        *(-p for p in POWERS),
        *(1 - p for p in POWERS),
        2**63 - 1,
        -(2**63),
    ]
)
RANDOM = np.random.default_rng(0).integers(-(2**62), 2**62, 21) // 10 ** np.arange(21).clip(0, 18)


def test_numbers_of_any_length() -> None:
    numbers = np.concatenate([EDGES, RANDOM]).reshape(-1, 4)
    compare({str(bins): L.Hashing(bins) for bins in (1, 2, 7, 1000, 2**31)}, numbers)


def test_output_modes_and_mask() -> None:
    numbers = np.random.default_rng(1).integers(-3, 30, (4, 5))
    layers = {mode: L.Hashing(7, output_mode=mode) for mode in ("int", "one_hot", "multi_hot", "count")}
    compare({**layers, "mask": L.Hashing(7, mask_value=3), "int32": L.Hashing(7, dtype="int32")}, numbers)
    compare({"column": L.Hashing(7, output_mode="one_hot")}, numbers[:, :1])


def test_numbers_of_other_dtypes() -> None:
    for dtype in ("float32", "int32", "uint8"):
        numbers = np.random.default_rng(2).uniform(0, 99, (4, 5)).astype(dtype)
        compare({"mask": L.Hashing(7, mask_value=3), "none": L.Hashing(5)}, numbers)


def test_hashed_crossing() -> None:
    rng = np.random.default_rng(3)
    arrays = [rng.integers(-9, 9, (20, 1)), rng.integers(-(2**62), 2**62, (20, 1))]
    layers = {
        "int": L.HashedCrossing(7),
        "one_hot": L.HashedCrossing(9, output_mode="one_hot"),
        "many bins": L.HashedCrossing(10**6),
    }
    functions: dict[str, Any] = {name: (lambda *x, layer=layer: layer(x)) for name, layer in layers.items()}
    compare(functions, *arrays)


@pytest.mark.parametrize(
    ("layer", "dtype", "reason"),
    [
        (L.Hashing(7), "string", "string inputs; ONNX can hash integers alone"),
        (L.Hashing(7, salt=3), "int32", "a salt, with which Keras takes SipHash"),
        (L.Hashing(7, output_mode="count", sparse=True), "int32", "sparse=True"),
    ],
)
def test_unsupported(layer: Any, dtype: str, reason: str) -> None:
    x = keras.Input((3,), dtype=dtype)
    with pytest.raises(UserError, match=reason):
        converted(keras.Model(x, layer(x)))
