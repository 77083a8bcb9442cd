from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.errors import UserError
from export.image_input import ImageInput
from export.images import ImageFormat
from export.served_model import ServedModel
from tests.export.serving import write_model


def image_input(path: Path, **options: Any) -> ImageInput:
    found = ImageInput.of(ServedModel(write_model(path / "model.onnx", **options)))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"shape": "N, 2, 3, 1"}, ImageFormat(2, 3, 1)),
        ({"shape": "N, H, 3, 3"}, ImageFormat(None, 3, 3)),
        ({"shape": "N, 2, 3, C"}, ImageFormat(2, 3, 3)),
        ({"shape": "N, 3, 4, 5", "metadata": {"input_layout": "nchw"}}, ImageFormat(4, 5, 3)),
    ],
)
def test_format_of_the_images(options: dict[str, Any], expected: ImageFormat, tmp_path: Path) -> None:
    assert image_input(tmp_path, **options).format == expected


@pytest.mark.parametrize(
    "options", [{"shape": "N, 3, 1"}, {"shape": "N, 2, 3, 2"}, {"dtype": "int32"}, {"dtype": "string"}]
)
def test_other_inputs(options: dict[str, Any], tmp_path: Path) -> None:
    assert ImageInput.of(ServedModel(write_model(tmp_path / "model.onnx", **options))) is None


@pytest.mark.parametrize(
    ("dtype", "range_", "expected"),
    [
        ("float", None, [0, 51, 255]),
        ("float", "[0, 1]", [0, 0.2, 1]),
        ("double", "[-1, 1]", [-1, -0.6, 1]),
        ("uint8", "[0, 1]", [0, 51, 255]),
    ],
)
def test_values_of_pixels(dtype: str, range_: str | None, expected: list[float], tmp_path: Path) -> None:
    images = image_input(tmp_path, dtype=dtype, metadata={"input_range": range_} if range_ else None)
    values = images.values(np.array([0, 51, 255]))
    assert values.dtype == images.value.dtype
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float", "uint8"])
def test_arrays_that_hold_no_pixels(dtype: str, tmp_path: Path) -> None:
    images = image_input(tmp_path, dtype=dtype, metadata={"input_range": "[0, 1]"})
    for array in (np.array([-1.0, 2.0]), np.array([0.0, 256.0])):
        with pytest.raises(
            UserError, match=r"^file: expected pixels 0\.\.255, got values from .*; use --values"
        ):
            images.check_pixels(array, "file")
    assert "file: its values are read as pixels 0..255, but the largest is 0.5" in images.check_pixels(
        np.array([0.5]), "file"
    )
    for array in (np.array([0.0]), np.array([0.0, 255.0]), np.array([0, 1], np.uint8), np.array([])):
        assert images.check_pixels(array, "file") == ""


def test_values_that_need_no_conversion_are_not_checked(tmp_path: Path) -> None:
    assert image_input(tmp_path).check_pixels(np.array([-1.0, 0.5]), "file") == ""
