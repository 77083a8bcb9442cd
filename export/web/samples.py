"""The pictures that the page offers: inputs of a model's check, and images that are given."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from export.errors import UserError
from export.image_input import ImageInput
from export.images import image_files, read_image
from export.layout import to_keras
from export.terminal import escape
from export.web.models import PageModel

MOST = 12  # samples of a page
LARGEST = 2**20  # pixels of a sample


@dataclass(frozen=True)
class Sample:
    """A picture.

    Attributes:
        label: what it is, for people who don't see it.
        png: the picture in a PNG file.
    """

    label: str
    png: bytes = field(repr=False)


def from_checks(models: Sequence[PageModel]) -> list[Sample]:
    """The first inputs of the models' checks, each once."""
    found: dict[bytes, Sample] = {}
    for model in models:
        for example in model.examples:
            if model.images.value.name not in example.inputs:
                continue
            array = to_keras(example.inputs[model.images.value.name], model.layout)
            if array.ndim != 4 or array.shape[1] * array.shape[2] > LARGEST:
                continue
            for row in pixels(model.images, array[:MOST]):
                png = _png(row)
                if len(found) < MOST and png not in found:
                    found[png] = Sample(f"sample {len(found) + 1}", png)
    return list(found.values())


def from_files(path: Path, images: ImageInput) -> list[Sample]:
    """An image, or the images of a folder, as the model takes them.

    Raises:
        UserError: a file is no image, or there are too many.
    """
    files = image_files(path)
    if len(files) > MOST:
        raise UserError(f"{path}: expected at most {MOST} images, got {len(files)}; choose some")
    return [Sample(escape(file.stem), _png(read_image(file, images.format)[0][0])) for file in files]


def pixels(images: ImageInput, values: np.ndarray) -> np.ndarray:
    """What an input holds as pixels 0..255 of uint8: the inverse of `ImageInput.values`."""
    if values.dtype == np.uint8:
        return values
    low, high = images.low, images.high
    scaled = (np.nan_to_num(values.astype(np.float64)) - low) * (255 / (high - low))
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG", optimize=True)
    return file.getvalue()
