"""Categories against Keras: class numbers in each output mode, and bins."""

import keras
import numpy as np
import pytest
from keras import layers as L

from export.errors import UserError
from tests.export.helpers import compare, converted

MODES = ("one_hot", "multi_hot", "count")
SHAPES = [(3, 5), (3, 1), (3, 4, 2), (3, 4, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_category_encoding(shape: tuple[int, ...]) -> None:
    numbers = np.random.default_rng(0).integers(0, 6, shape).astype("int32")
    compare({mode: L.CategoryEncoding(6, output_mode=mode) for mode in MODES}, numbers)


@pytest.mark.parametrize("shape", [(3, 5), (3, 4, 2)], ids=str)
def test_count_weights(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    layer = L.CategoryEncoding(6, output_mode="count")
    compare(
        {"weights": lambda x, weights: layer(x, count_weights=weights)},
        rng.integers(0, 6, shape),
        rng.normal(size=shape).astype("float32"),
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_discretization(shape: tuple[int, ...]) -> None:
    numbers = np.random.default_rng(2).normal(size=shape).astype("float32")
    numbers.flat[:2] = -0.2, np.nan  # a boundary belongs to the bin above it, and NaN to the last bin
    compare(
        {mode: L.Discretization([-1.0, -0.2, 0.4], output_mode=mode) for mode in ("int", *MODES)}, numbers
    )


def test_discretization_of_integers_with_learned_boundaries() -> None:
    numbers = np.random.default_rng(3).integers(0, 9, (4, 5)).astype("int32")
    layer = L.Discretization(num_bins=4)
    layer.adapt(numbers.astype("float32"))
    compare({"bins": layer}, numbers)


def test_sparse_output_is_unsupported() -> None:
    x = keras.Input((5,), dtype="int32")
    with pytest.raises(UserError, match="sparse=True, which ONNX has no tensors for"):
        converted(keras.Model(x, L.CategoryEncoding(6, sparse=True)(x)))


def test_discretization_without_boundaries_is_unsupported() -> None:
    x = keras.Input((5,))
    with pytest.raises(UserError, match="it has no bin boundaries yet; call adapt"):
        converted(keras.Model(x, L.Discretization(num_bins=3)(x)))
