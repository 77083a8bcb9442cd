"""Elementwise operations, and the layers that merge tensors, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers as L
from keras import ops

from tests.export.helpers import (
    CHANNELS,
    IMAGE_SHAPE,
    check_operation,
    converted,
    in_either_layout,
    kinds,
    random_array,
    randomize,
    run,
)

IMAGE = random_array(*IMAGE_SHAPE)
CASES: dict[str, Callable[[Any], Any]] = {
    "add number": lambda x: x + 3.0,
    "subtract from number": lambda x: 2.0 - x,
    "constants of channels": lambda x: (x - CHANNELS) / CHANNELS * CHANNELS + CHANNELS,
    "multiply by image": lambda x: x * IMAGE,
    "square minus x": lambda x: x * x - x,
    "gate of channels": lambda x: x * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)),
    "gate of lower rank": lambda x: x * ops.mean(x, axis=(0, 1, 2)),
    "divide": lambda x: x / (ops.absolute(x) + 1.0),
    "number divided": lambda x: 1.0 / (ops.square(x) + 1.0),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


def test_arithmetic_with_constants_folds_into_convolutions() -> None:
    x = inputs = keras.Input((8, 8, 3), name="x")
    x = (L.Conv2D(4, 3)(x) * CHANNELS + 3.0) / 6.0
    x = L.Conv2D(2, 3)(x - CHANNELS)
    conversion = converted(randomize(keras.Model(inputs, x)))
    assert kinds(conversion) == ["Transpose", "Conv", "Conv", "Transpose"]


def test_arithmetic_with_constants_folds_into_dense_layers() -> None:
    inputs = keras.Input((8, 8, 3), name="x")
    x = L.Dense(5)(L.Dense(4)(inputs) * CHANNELS)
    conversion = converted(randomize(keras.Model(inputs, x)))
    assert kinds(conversion) == ["MatMul", "Add", "MatMul", "Add"]


# Layers that merge tensors


@pytest.mark.parametrize("kind", [L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum])
@pytest.mark.parametrize("given", ["images", "vectors", "one image in channels-first layout"])
def test_merging_layer(kind: Any, given: str) -> None:
    shape = (4,) if given == "vectors" else (5, 6, 4)
    inputs = [keras.Input(shape, name=name) for name in "ab"]
    one, two = inputs
    if given == "one image in channels-first layout":
        one = L.Conv2D(4, 3, padding="same")(one)
    converted(randomize(keras.Model(inputs, kind()([one, two]))))


@pytest.mark.parametrize(
    ("dtype", "returned"), [("int32", "float64"), ("int64", "float64"), ("int8", "float32")]
)
def test_average_of_integers(dtype: str, returned: str) -> None:
    inputs = [keras.Input((7,), dtype=dtype) for _ in range(3)]
    conversion = converted(keras.Model(inputs, L.Average()(inputs)))
    arrays = [np.full((2, 7), value, dtype) for value in (1, 2, 5)]
    (average,) = run(conversion, *arrays)
    assert average.dtype == returned
    np.testing.assert_allclose(average, 8 / 3, rtol=1e-6, atol=0)


def test_merging_layer_broadcasts() -> None:
    x = keras.Input((5, 6, 4))
    squeezed = L.GlobalAveragePooling2D(keepdims=True)(x)
    gate = L.Conv2D(4, 1, activation="sigmoid")(squeezed)
    converted(randomize(keras.Model(x, L.Multiply()([L.Conv2D(4, 3, padding="same")(x), gate]))))


def test_merging_tensors_of_different_ranks() -> None:
    x, y = keras.Input((5, 6, 4)), keras.Input((4,))
    converted(keras.Model([x, y], [L.Multiply()([x, y]), L.Add()([y, L.Conv2D(4, 3, padding="same")(x)])]))


@pytest.mark.parametrize("name", ["Add", "Subtract", "Multiply", "Maximum", "Minimum"])
def test_merging_layers_of_integers_return_integers(name: str) -> None:
    x, y = (keras.Input((5,), dtype="int32", name=one) for one in "xy")
    conversion = converted(keras.Model([x, y], getattr(L, name)()([x, y])))
    assert conversion.model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.INT32
