"""Names, shapes and ranges of the exported graph's inputs and outputs."""

import keras
import pytest

from export.conversion import Options
from export.signature import (
    input_names,
    input_range,
    named_dimensions,
    output_names,
    rescales_its_input,
    takes_uint8,
)
from tests.export.helpers import functional

L = keras.layers


def test_names_of_inputs_and_outputs() -> None:
    a, b = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    total = L.Add(name="total")([a, b])
    model = keras.Model([a, b], [total, L.Softmax(name="classes")(total), a])
    assert input_names(model) == ["left", "right"]
    assert output_names(model) == ["total", "classes", "left_1"]


@pytest.mark.parametrize(
    "end", [L.Softmax(), L.Activation("softmax"), L.Dense(3, activation="softmax")], ids=lambda x: x.name
)
def test_single_softmax_is_named_probabilities(end: keras.layers.Layer) -> None:
    assert output_names(functional((4,), end)) == ["probabilities"]


def test_output_that_occurs_twice_has_two_names() -> None:
    x = keras.Input((4,), name="x")
    y = L.Dense(3, name="dense")(x)
    assert output_names(keras.Model(x, [y, y])) == ["dense", "dense_1"]


@pytest.mark.parametrize(
    ("layers", "rescales"),
    [
        ([L.Rescaling(1 / 255), L.Conv2D(2, 3)], True),
        ([L.Normalization(mean=0.0, variance=1.0), L.Conv2D(2, 3)], True),
        ([L.ZeroPadding2D(1), L.Rescaling(1 / 255)], True),
        ([keras.Sequential([keras.Input((6, 6, 3)), L.Rescaling(1 / 255)])], True),
        ([L.Conv2D(2, 3), L.Rescaling(1 / 255)], False),
        ([L.ZeroPadding2D(1)], False),
    ],
)
def test_rescales_its_input(layers: list[keras.layers.Layer], rescales: bool) -> None:
    model = functional((6, 6, 3), *layers)
    assert rescales_its_input(model) is rescales
    assert input_range(model, Options()) == ((0.0, 255.0) if rescales else (0.0, 1.0))


def test_input_range_of_raw_pixels_and_as_given() -> None:
    model = functional((4,), L.Dense(3))
    assert input_range(model, Options(raw_pixels=True)) == (0.0, 255.0)
    assert input_range(model, Options(raw_pixels=True, input_range=(-1.0, 2.0))) == (-1.0, 2.0)


@pytest.mark.parametrize(
    ("dtype", "raw", "expected"),
    [("float32", True, True), ("float32", False, False), ("int32", True, False), ("bfloat16", True, True)],
)
def test_takes_uint8(dtype: str, raw: bool, expected: bool) -> None:
    assert takes_uint8(dtype, Options(raw_pixels=raw)) is expected


@pytest.mark.parametrize(
    ("shape", "batch", "expected"),
    [
        ((None, 5, 3), None, ["batch", 5, 3]),
        ((None, 5, 3), 4, [4, 5, 3]),
        ((None, None, 3), None, ["batch", "x_axis1", 3]),
        ((2, None), 4, [2, "x_axis1"]),
    ],
)
def test_named_dimensions(
    shape: tuple[int | None, ...], batch: int | None, expected: list[int | str]
) -> None:
    assert named_dimensions(shape, batch, "x") == expected
