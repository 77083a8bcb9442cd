import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.errors import UserError
from export.image_input import ImageInput
from export.images import ImageFormat
from export.served_model import Value
from export.web.models import read_model
from export.web.samples import MOST, from_checks, from_files, pixels
from tests.export.web.helpers import PIXELS, write_checked

GREY = ImageInput(Value("x", np.dtype(np.float32), (None, 1, 3, 1)), ImageFormat(1, 3, 1), 0.0, 255.0)


def shown(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def test_inputs_of_the_checks_each_once(tmp_path: Path) -> None:
    models = [read_model(write_checked(tmp_path / name)) for name in ("a.onnx", "b.onnx")]
    samples = from_checks(models)
    assert [sample.label for sample in samples] == ["sample 1", "sample 2"]
    for sample, expected in zip(samples, PIXELS, strict=True):
        np.testing.assert_array_equal(shown(sample.png), expected[..., 0])


def test_images_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        Image.fromarray(np.full((2, 6, 3), 51, np.uint8)).save(tmp_path / name)
    samples = from_files(tmp_path, GREY)
    assert [sample.label for sample in samples] == ["a", "b"]
    np.testing.assert_array_equal(shown(samples[0].png), np.full((1, 3), 51))
    for index in range(MOST):
        Image.new("L", (3, 1)).save(tmp_path / f"{index}.png")
    with pytest.raises(UserError, match=f"expected at most {MOST} images, got {MOST + 2}; choose some"):
        from_files(tmp_path, GREY)


@pytest.mark.parametrize(("low", "high"), [(0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_pixels_are_the_inverse_of_values(low: float, high: float, dtype: str) -> None:
    images = ImageInput(Value("x", np.dtype(dtype), (None, 1, 256, 1)), ImageFormat(1, 256, 1), low, high)
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1)
    np.testing.assert_array_equal(pixels(images, images.values(every)), every)


def test_values_that_are_no_pixels() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1e9, -3.0], np.float32)
    np.testing.assert_array_equal(pixels(GREY, values), [0, 255, 0, 255, 0])
