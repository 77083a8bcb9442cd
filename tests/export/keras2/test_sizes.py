"""Dynamic sizes in a Keras 2 model."""

from typing import Any

import keras
import pytest

from export.keras2.sizes import Size, calculate, holds_size, shape_of

X = keras.KerasTensor((None, 6, None, 3))


def test_shape() -> None:
    rows, height, width, channels = shape_of(X)
    assert (height, channels) == (6, 3)
    assert isinstance(rows, Size)
    assert isinstance(width, Size)
    assert (width.operation, width.arguments) == ("size", (X, 2))


def test_values_that_hold_a_size() -> None:
    size = shape_of(X)[0]
    assert holds_size([1, {"a": slice(None, size)}])
    assert not holds_size([1, {"a": slice(None, 2)}, "x"])


@pytest.mark.parametrize(
    ("function", "first", "arguments", "expected"),
    [
        ("__operators__.getitem", [4, 5, 6], {"slice_spec": (slice(1, 3),)}, [5, 6]),
        ("cast", 4, {"dtype": "int64"}, 4),
        ("concat", [[4], [5, 6]], {"axis": 0}, [4, 5, 6]),
        ("math.reduce_prod", [4, 5], {}, 20),
        ("__operators__.sub", 4, {"y": 1}, 3),
        ("math.multiply", [4, 5], {"y": 2}, [8, 10]),
        ("math.floormod", 7, {"y": 4}, 3),
    ],
)
def test_calculations(function: str, first: Any, arguments: dict[str, Any], expected: Any) -> None:
    assert calculate(function, first, arguments) == expected


def test_calculation_with_a_dynamic_size() -> None:
    width = shape_of(X)[2]
    half = calculate("math.floordiv", width, {"y": 2})
    assert isinstance(half, Size)
    assert (half.operation, half.arguments) == ("floordiv", (width, 2))


@pytest.mark.parametrize(("function", "arguments"), [("cast", {"dtype": "float32"}), ("math.sqrt", {"y": 1})])
def test_other_functions_are_no_calculations(function: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(KeyError, match=function):
        calculate(function, 4, arguments)
