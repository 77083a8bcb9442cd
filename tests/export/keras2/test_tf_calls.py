from typing import Any

import keras
import numpy as np
import pytest

from export.errors import UserError
from export.keras2.tf_calls import call_symbolically


def test_constants_are_calculated() -> None:
    zeros = call_symbolically("zeros", [2, 3], {"name": None}, "it")
    np.testing.assert_array_equal(zeros, np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("function", "first", "named"),
    [
        ("fill", [10**6, 10**6], {"value": 1.0}),
        ("zeros", [10**6, 10**6], {}),
        ("tile", [[1.0]], {"multiples": [10**5, 10**5]}),
    ],
)
def test_huge_constants_are_errors(function: str, first: Any, named: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match=rf"it: expected at most 67,108,864 values of a constant, got .* from tf\.{function}"
    ):
        call_symbolically(function, first, named, "it")


def test_static_sizes_are_numbers() -> None:
    x = keras.KerasTensor((None, 4, 6))
    sizes = call_symbolically("compat.v1.shape", x, {"out_type": "int32"}, "it")
    assert sizes[1:] == [4, 6]
    assert call_symbolically("math.multiply", sizes[1], {"y": sizes[2]}, "it") == 24
    assert call_symbolically("stack", [sizes[1], 2], {"axis": 0}, "it") == [4, 2]
