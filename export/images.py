"""Images from files, in the size and channels that a model expects; NumPy and Pillow are all it needs."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.errors import UserError
from export.limits import check_size

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
# How to turn an image upright, by the EXIF orientation that the camera wrote.
EXIF_ORIENTATION = 0x0112
TRANSPOSITIONS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
LIGHT, EVEN, INK = 128, 48, 80  # grey levels: of paper, its unevenness, and how much darker ink is
SMALL = 64  # pixels of height or width
BYTES_PER_PIXEL = 4  # of Pillow's images; most formats are unpacked to no more
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # not EPS, which runs another program


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

    @property
    def is_small_and_grey(self) -> bool:
        """Whether they are grey and of up to 64x64 pixels, as those of models of digits and letters are."""
        return self.channels == 1 and max(self.height or math.inf, self.width or math.inf) <= SMALL


def image_files(path: str | Path) -> list[Path]:
    """The images in a folder, in order of their names; the file itself, if it is none.

    Raises:
        UserError: the folder holds no images.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"{path}: expected a folder with images ({', '.join(SUFFIXES)}), found none")
    return files


def read_image(path: Path, expected: ImageFormat, invert: bool = False) -> tuple[np.ndarray, str]:
    """Read an image file, turn it upright, and convert its mode and its size to those expected.

    Args:
        path: the file.
        expected: the images that the model expects.
        invert: replace each pixel by 255 minus the pixel. Transparent pixels become black with and without it.

    Returns:
        The image as uint8 of shape (1, height, width, channels), and what was done to it.

    Raises:
        UserError: the file is missing, is not an image, or unpacks to more than its size justifies.
    """
    from PIL import Image, UnidentifiedImageError

    bad_image = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # about huge images, which are checked here, and about damaged EXIF data
            with Image.open(path, formats=FORMATS) as image:
                check_size(path, "pixels", BYTES_PER_PIXEL * image.width * image.height)
                image.load()
                converted, changes = _convert(path, image, expected, "white" if invert else "black")
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: expected an image, found nothing of that name") from None
    except bad_image as error:
        raise UserError(f"{path}: expected an image ({', '.join(SUFFIXES)}): {error}") from error
    shape = (1, converted.height, converted.width, expected.channels)
    pixels = np.asarray(converted, np.uint8).reshape(shape)
    return 255 - pixels if invert else pixels, ", ".join(changes)


def looks_like_ink_on_paper(pixels: np.ndarray) -> bool:
    """Whether a grey image, (height, width) or (height, width, 1), 0..255, looks like dark ink on light paper.

    The rule is cautious: the border is light and even, as nine of ten of its pixels are close to its median, and some
    of the pixels, 1 % to half of all, are much darker than it.
    """
    height, width = pixels.shape[:2]
    if pixels.size != height * width or min(height, width) < 3:
        return False
    image = pixels.reshape(height, width).astype(np.float32)
    border = np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])
    paper = float(np.median(border))
    is_even = float(np.mean(np.abs(border - paper) <= EVEN)) >= 0.9
    ink = float(np.mean(image < paper - INK))
    return LIGHT <= paper <= 255 and is_even and 0.01 <= ink <= 0.5


def _convert(
    path: Path, image: Image.Image, expected: ImageFormat, background: str
) -> tuple[Image.Image, list[str]]:
    from PIL import Image

    mode = "L" if expected.channels == 1 else "RGB"
    changes = []
    turn = _transposition(image)
    if turn:
        changes.append("turned upright")
        image = image.transpose(Image.Transpose[turn])
    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip at 255
        changes.append("16 bits to 8")
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode != mode:
        changes.append(f"{image.mode} to {'grey' if mode == 'L' else 'RGB'}")
        if "A" in image.getbands() or "transparency" in image.info:
            layer = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", layer.size, background), layer)
        image = image.convert(mode)
    size = (expected.width or image.width, expected.height or image.height)
    if image.size != size:
        check_size(
            path, f"{size[0]}x{size[1]} pixels, as the model needs", BYTES_PER_PIXEL * size[0] * size[1]
        )
        changes.append(f"{image.width}x{image.height} to {size[0]}x{size[1]} pixels")
        image = image.resize(size, Image.Resampling.BILINEAR)
    return image, changes


def _transposition(image: Image.Image) -> str | None:
    try:
        return TRANSPOSITIONS.get(int(image.getexif().get(EXIF_ORIENTATION, 1)))
    except Exception:  # Pillow raises whatever damaged EXIF data provoke; the pixels are usable all the same
        return None
