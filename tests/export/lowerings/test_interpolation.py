"""Which form each interpolation takes; `test_resize.py` compares the values."""

import keras
import pytest

from export.errors import UserError
from tests.export.helpers import converted, functional, kinds

L = keras.layers


def forms(size: tuple[int, int], shape: tuple[int | None, ...], interpolation: str) -> list[str]:
    model = functional(shape, L.Conv2D(2, 1), L.Resizing(*size, interpolation=interpolation), L.Conv2D(2, 1))
    return kinds(converted(model, rtol=1e-3, atol=1e-4))


def test_nearest_pixels_are_gathered() -> None:
    assert forms((3, 10), (6, 5, 3), "nearest").count("Gather") == 2


def test_linear_of_small_images_is_a_product() -> None:
    found = forms((3, 10), (6, 5, 3), "bilinear")
    assert ("Resize" in found, "MatMul" in found) == (False, True)


def test_linear_of_a_dynamic_size_is_a_resize() -> None:
    assert "Resize" in forms((4, 6), (None, None, 3), "bilinear")


def test_linear_of_twice_a_large_image_is_a_resize() -> None:
    assert "Resize" in forms((140, 20), (70, 10, 3), "bilinear")


def test_unknown_interpolation() -> None:
    layer = L.Resizing(3, 3)
    layer.interpolation = "gaussian"
    with pytest.raises(UserError, match="a resize with interpolation='gaussian'"):
        converted(functional((6, 5, 3), layer))
