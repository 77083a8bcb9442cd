import dataclasses
import re
from typing import Any

import keras
import numpy as np
import pytest

from export.conversion import Options
from export.convert import convert
from export.errors import UserError
from export.parity.data import Source
from tests.export.helpers import functional

L = keras.layers


def source(model: keras.Model, data: list[np.ndarray] | None = None, **options: Any) -> Source:
    return Source(model, convert(model, Options(**options)), data)


def test_numbers_of_the_range_and_from_outside() -> None:
    made = source(functional((8, 8, 3), L.Flatten(), L.Dense(2)), input_range=(-2.0, 2.0))
    [array] = made.random(50, (), 0)
    assert (array.shape, array.dtype) == ((50, 8, 8, 3), np.float32)
    assert -2 <= array.min() < -1.9
    assert 1.9 < array.max() <= 2
    [wide] = made.random(50, (), 0, wide=True)
    assert -6 <= wide.min() < -5
    assert 5 < wide.max() <= 6
    np.testing.assert_array_equal(array, made.random(50, (), 0)[0])  # seeded


def test_every_other_image_is_made_of_blocks() -> None:
    [array] = source(functional((8, 8, 3), L.Flatten(), L.Dense(2))).random(4, (), 0)
    steps = np.mean(np.abs(array[:, :, 1::2] - array[:, :, ::2]), axis=(1, 2, 3))
    np.testing.assert_array_equal(steps[::2] > 0.25, True)
    np.testing.assert_array_equal(steps[1::2] < 0.12, True)


def test_ids_cover_the_vocabulary_and_pad_at_the_end() -> None:
    inputs = keras.Input((30,), dtype="int32")
    x = L.Embedding(40, 2)(inputs)
    [ids] = source(keras.Model(inputs, L.Flatten()(x))).random(100, (), 0)
    assert set(np.unique(ids)) == set(range(40))
    masked = keras.Model(inputs, L.Flatten()(L.Embedding(40, 2, mask_zero=True)(inputs)))
    [ids] = Source(masked, convert(functional((3,), L.Dense(2))), None).random(100, (), 0)
    lengths = np.sum(np.cumsum(ids[:, ::-1], axis=1) > 0, axis=1)
    assert len(set(lengths)) > 10
    assert lengths.min() >= 1


def test_raw_pixels_are_whole() -> None:
    made = source(functional((4, 4, 1), L.Flatten(), L.Dense(2)), raw_pixels=True)
    for array in (*made.random(3, (), 0), *made.random(3, (), 0, wide=True)):
        assert array.dtype == np.uint8
    [constant] = made.degenerate("constant", made.random(1, (), 0))
    np.testing.assert_array_equal(constant, np.full((1, 4, 4, 1), 128, np.uint8))


@pytest.mark.parametrize(
    ("dtype", "values", "message"),
    [
        (
            "int32",
            [1.0, np.nan],
            "whole numbers from -2147483648 to 2147483647 for input 'x', got nan; change them, or",
        ),
        ("int32", [1.0, 0.5], "got 0.5; change them, or leave out --check-data"),
        ("int32", np.array([1, 2**32 + 1], np.uint64), "got 4294967297"),
        ("uint8", np.array([1, 300], np.uint16), "whole numbers from 0 to 255 for input 'x', got 300"),
        ("uint8", np.array([1, -1], np.int16), "got -1"),
        ("float32", [0.0, 1.0], "whole numbers from 0 to 255 for input 'x', got 1.0; multiply them by 255"),
        ("float32", [0.0, 127.5], "got 127.5; change them, or leave out --raw-pixels"),
        ("float32", [0, 256], "got 256"),
    ],
)
def test_numbers_that_an_input_can_not_hold(dtype: str, values: Any, message: str) -> None:
    x = keras.Input((2,), dtype=dtype, name="x")
    model = keras.Model(x, L.Dense(2)(L.Rescaling(0.1)(x)))
    data = np.asarray(values).reshape(1, 2)
    conversion = convert(functional((2,), L.Dense(2)))
    conversion = dataclasses.replace(conversion, options=Options(raw_pixels=dtype == "float32"))
    with pytest.raises(UserError, match=f"^check-data: expected .*{re.escape(message)}"):
        Source(model, conversion, [data])


def test_whole_numbers_of_any_type_that_an_input_holds() -> None:
    x = keras.Input((3,), dtype="int32", name="x")
    model = keras.Model(x, L.Embedding(7, 2)(x))
    for values in (
        np.array([[0.0, 2.0, 6.0]]),
        np.array([[0, 2, 6]], np.uint64),
        np.array([[True, False, True]]),
    ):
        [array] = source(model, [values]).whole
        np.testing.assert_array_equal(array, values)
        assert array.dtype == np.int32


def test_degenerate_inputs() -> None:
    made = source(functional((4, 4, 1), L.Flatten(), L.Dense(2)), input_range=(900.0, 1000.0))
    [constant] = made.degenerate("constant", made.random(2, (), 0))
    np.testing.assert_array_equal(constant, 950)
    [near] = made.degenerate("large mean", made.random(2, (), 0))
    assert set(np.round(np.unique(1000 - near) / (100 / 255)).astype(int)) == {0, 1, 2}


def test_rows_of_the_data_and_their_range() -> None:
    data = np.arange(20, dtype=np.float32).reshape(5, 4)
    made = source(functional((4,), L.Dense(2)), [data])
    np.testing.assert_array_equal(made.rows(3, 4)[0], data[[3, 4, 0, 1]])
    assert (made.domains[0].low, made.domains[0].high) == (0, 19)


@pytest.mark.parametrize("size", [5, 9])
def test_dynamic_dimensions(size: int) -> None:
    made = source(functional((None, None, 2), L.Conv2D(2, 3)))
    assert made.dynamic == [1, 2]
    assert made.random(2, (size, 7), 0)[0].shape == (2, size, 7, 2)
    assert made.numbers_in_a_row((size, 7)) == size * 7 * 2
