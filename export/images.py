"""Images from files, in the size and channels that a model expects; NumPy and Pillow are all it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.arrays import read_npz
from export.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
ARRAYS = ("x_test", "x", "images")  # the arrays that are read from a .npz file, in this order


@dataclass(frozen=True)
class ImageFormat:
    """The images that a model expects.

    Attributes:
        height: of an image, in pixels; None if the model takes any.
        width: of an image, in pixels; None if the model takes any.
        channels: 1 for grey, 3 for RGB.
    """

    height: int | None
    width: int | None
    channels: int


@dataclass(frozen=True)
class NamedImages:
    """Images, and where they come from.

    Attributes:
        names: a name for each image.
        pixels: array of shape (n, height, width, channels), 0..255.
        changes: what was done to the image to make it fit; empty if nothing.
    """

    names: list[str]
    pixels: np.ndarray
    changes: str = ""


def read_images(paths: Sequence[str | Path], expected: ImageFormat) -> Iterator[NamedImages]:
    """Read image files, the images in folders, and the arrays in `.npz` files, one file at a time.

    The arrays of a `.npz` file are returned as they are.

    Raises:
        UserError: a file is missing, or is not an image; a folder holds none.
    """
    for given in paths:
        path = Path(given)
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not files:
                raise UserError(f"{path}: expected a folder with images ({', '.join(SUFFIXES)}), found none")
            for file in files:
                yield NamedImages([str(file)], *read_image(file, expected))
        elif path.suffix == ".npz":
            pixels = _read_array(path)
            yield NamedImages([f"{path}[{index}]" for index in range(len(pixels))], pixels)
        else:
            yield NamedImages([str(given)], *read_image(path, expected))


def read_image(path: Path, expected: ImageFormat) -> tuple[np.ndarray, str]:
    """Read an image file, and convert its mode and its size to those expected.

    Transparent pixels become black.

    Returns:
        The image as uint8 of shape (1, height, width, channels), and what was done to it.

    Raises:
        UserError: the file is missing, or is not an image.
    """
    from PIL import Image, UnidentifiedImageError

    bad_image = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    try:
        with Image.open(path) as image:
            image.load()
            converted, changes = _convert(image, expected)
    except FileNotFoundError:
        raise UserError(f"{path}: expected an image, found nothing of that name") from None
    except bad_image as error:
        raise UserError(f"{path}: expected an image ({', '.join(SUFFIXES)}): {error}") from error
    shape = (1, converted.height, converted.width, expected.channels)
    return np.asarray(converted, np.uint8).reshape(shape), ", ".join(changes)


def _convert(image: Image.Image, expected: ImageFormat) -> tuple[Image.Image, list[str]]:
    from PIL import Image

    mode = "L" if expected.channels == 1 else "RGB"
    changes = []
    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip at 255
        changes.append("16 bits to 8")
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode != mode:
        changes.append(f"{image.mode} to {'grey' if mode == 'L' else 'RGB'}")
        if "A" in image.getbands() or "transparency" in image.info:
            layer = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer)
        image = image.convert(mode)
    size = (expected.width or image.width, expected.height or image.height)
    if image.size != size:
        changes.append(f"{image.width}x{image.height} to {size[0]}x{size[1]} pixels")
        image = image.resize(size, Image.Resampling.BILINEAR)
    return image, changes


def _read_array(path: Path) -> np.ndarray:
    def choose(names: list[str]) -> list[str]:
        known = next((name for name in ARRAYS if name in names), None)
        if known is None and len(names) != 1:
            raise UserError(f"{path}: expected an array x_test, x or images, got {', '.join(names)}")
        return [known or names[0]]

    return read_npz(path, choose)[0]
