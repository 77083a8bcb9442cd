"""A layer that calls a function of TensorFlow with dynamic sizes."""

from pathlib import Path

import keras
import numpy as np
import pytest

from export.convert import convert
from export.errors import UserError
from export.keras2.sized_call import call_with_sizes
from export.keras2.sizes import calculate, shape_of
from tests.export.helpers import random_array, run


def model() -> keras.Model:
    """Joins pairs of columns, whatever the width."""
    x = keras.Input((None, 3), name="x")
    rows, width, _ = shape_of(x)
    half = calculate("math.floordiv", width, {"y": 2})
    return keras.Model(x, call_with_sizes("reshape", (x, [rows, half, 6]), {}, name="pairs"))


@pytest.mark.parametrize("width", [4, 10])
def test_equals_the_function_on_numbers(width: int) -> None:
    x = random_array(2, width, 3)
    expected = x.reshape(2, width // 2, 6)
    np.testing.assert_array_equal(model()(x), expected)
    conversion = convert(model())
    assert conversion.route == "direct"
    np.testing.assert_array_equal(run(conversion, x)[0], expected)


def test_is_saved_and_loaded(tmp_path: Path) -> None:
    model().save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = random_array(2, 6, 3)
    np.testing.assert_array_equal(loaded(x), model()(x))


def test_needs_a_tensor() -> None:
    with pytest.raises(
        UserError, match=r"pairs: expected a tensor among the arguments of tf\.fill, got none"
    ):
        call_with_sizes("fill", ([2, 3], 1.0), {}, name="pairs")
