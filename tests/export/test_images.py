from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.errors import UserError
from export.images import ImageFormat, image_files, looks_like_ink_on_paper, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 28, 28, 1), np.uint8)
GREY = ImageFormat(28, 28, 1)
RGB = ImageFormat(20, 24, 3)


def grey_image() -> Image.Image:
    return Image.fromarray(PIXELS[0, ..., 0])


def test_image_that_fits_is_not_changed(tmp_path: Path) -> None:
    grey_image().save(tmp_path / "image.png")
    pixels, changes = read_image(tmp_path / "image.png", GREY)
    np.testing.assert_array_equal(pixels, PIXELS[:1])
    assert (pixels.dtype, changes) == (np.uint8, "")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "1"])
def test_image_is_converted_to_grey(mode: str, tmp_path: Path) -> None:
    image = grey_image().resize((56, 70))
    image.convert("RGB" if mode == "P" else mode).convert(mode).save(tmp_path / "image.png")
    pixels, changes = read_image(tmp_path / "image.png", GREY)
    assert pixels.shape == (1, 28, 28, 1)
    assert changes == f"{mode} to grey, 56x70 to 28x28 pixels"


def test_image_is_converted_to_rgb(tmp_path: Path) -> None:
    grey_image().save(tmp_path / "image.png")
    pixels, changes = read_image(tmp_path / "image.png", RGB)
    assert pixels.shape == (1, 20, 24, 3)
    assert changes == "L to RGB, 28x28 to 24x20 pixels"


def test_16_bit_image_keeps_its_grey_levels(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[0, ..., 0].astype(np.uint16) * 257).save(tmp_path / "image.png")
    pixels, changes = read_image(tmp_path / "image.png", GREY)
    np.testing.assert_array_equal(pixels, PIXELS[:1])
    assert changes.startswith("16 bits to 8")


def test_transparent_pixels_become_black(tmp_path: Path) -> None:
    Image.new("RGBA", (24, 20), (255, 255, 255, 0)).save(tmp_path / "image.png")
    pixels, _ = read_image(tmp_path / "image.png", RGB)
    np.testing.assert_array_equal(pixels, np.zeros((1, 20, 24, 3)))


def test_any_size(tmp_path: Path) -> None:
    grey_image().resize((31, 17)).save(tmp_path / "image.png")
    pixels, changes = read_image(tmp_path / "image.png", ImageFormat(None, None, 1))
    assert (pixels.shape, changes) == ((1, 17, 31, 1), "")


def test_images_of_a_folder(tmp_path: Path) -> None:
    for index, pixels in enumerate(PIXELS):
        Image.fromarray(pixels[..., 0]).save(tmp_path / f"image{index}.PNG")
    (tmp_path / "notes.txt").write_text("not an image")
    assert image_files(tmp_path) == [tmp_path / f"image{index}.PNG" for index in range(9)]
    assert image_files(tmp_path / "image3.PNG") == [tmp_path / "image3.PNG"]
    np.testing.assert_array_equal(read_image(tmp_path / "image3.PNG", GREY)[0], PIXELS[3:4])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.png", r"none\.png: expected an image, found nothing of that name"),
        ("text.png", r"text\.png: expected an image \(\.png, .*: cannot identify"),
        ("cut.png", r"cut\.png: expected an image \(\.png, "),
        ("empty", r"empty: expected a folder with images \(\.png, .*, found none"),
        ("image.eps", r"image\.eps: expected an image \(\.png, "),
    ],
)
def test_unusable_file(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    grey_image().save(tmp_path / "image.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "image.png").read_bytes()[:200])
    (tmp_path / "empty").mkdir()
    grey_image().save(tmp_path / "image.eps")  # Pillow would read it with Ghostscript
    with pytest.raises(UserError, match=message):
        read_image(image_files(tmp_path / name)[0], GREY)


def test_image_bomb_is_refused(tmp_path: Path) -> None:
    """A blank image of a few kB that unpacks to 400 MB."""
    Image.new("L", (10**4, 10**4)).save(tmp_path / "blank.png")
    assert (tmp_path / "blank.png").stat().st_size < 200_000
    message = r"blank\.png: expected at most 100 times .*, got 400,000,000 bytes of pixels"
    with pytest.raises(UserError, match=message):
        read_image(tmp_path / "blank.png", GREY)


def test_huge_enlargement_is_refused(tmp_path: Path) -> None:
    """A model that declares a huge height and no width passes the check of its input."""
    grey_image().save(tmp_path / "image.png")
    message = r"got 1,120,000,000 bytes of 28x10000000 pixels, as the model needs"
    with pytest.raises(UserError, match=message):
        read_image(tmp_path / "image.png", ImageFormat(10**7, None, 1))


# Where the EXIF orientation puts the first row and the first column of the stored image.
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda stored: stored),
        (2, lambda stored: stored[:, ::-1]),
        (3, lambda stored: stored[::-1, ::-1]),
        (4, lambda stored: stored[::-1]),
        (5, lambda stored: stored.T),
        (6, lambda stored: stored.T[:, ::-1]),
        (7, lambda stored: stored.T[::-1, ::-1]),
        (8, lambda stored: stored.T[::-1]),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_image_is_turned_upright(
    orientation: int, upright: Callable[[np.ndarray], np.ndarray], suffix: str, tmp_path: Path
) -> None:
    stored = np.zeros((16, 32), np.uint8)
    stored[:8, :8] = 255
    stored[:8, 8:16] = 128
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / f"image{suffix}", exif=exif, quality=100)
    expected = upright(stored)
    height, width = expected.shape
    pixels, changes = read_image(tmp_path / f"image{suffix}", ImageFormat(height, width, 1))
    np.testing.assert_allclose(pixels[0, ..., 0].astype(int), expected, rtol=0, atol=8)
    assert ("turned upright" in changes) == (orientation != 1)
    assert "pixels" not in changes


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_meaningless_orientation_is_ignored(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    grey_image().save(tmp_path / "image.png", exif=exif)
    pixels, changes = read_image(tmp_path / "image.png", GREY)
    np.testing.assert_array_equal(pixels, PIXELS[:1])
    assert changes == ""


@pytest.mark.parametrize("exif", [b"Exif\x00\x00junk", b"Exif\x00\x00MM\x00*\x00\x00\xff\xff", b"\x00"])
def test_damaged_exif_data_are_ignored(exif: bytes, tmp_path: Path) -> None:
    grey_image().save(tmp_path / "image.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "image.png", GREY)[0], PIXELS[:1])


def test_inverted_image(tmp_path: Path) -> None:
    grey_image().save(tmp_path / "image.png")
    pixels, changes = read_image(tmp_path / "image.png", GREY, invert=True)
    np.testing.assert_array_equal(pixels, 255 - PIXELS[:1])
    assert changes == ""


def test_transparent_pixels_become_black_when_inverted(tmp_path: Path) -> None:
    ink = Image.new("RGBA", (24, 20), (0, 0, 0, 0))
    ink.paste((0, 0, 0, 255), (8, 8, 12, 12))
    ink.save(tmp_path / "ink.png")
    pixels, _ = read_image(tmp_path / "ink.png", RGB, invert=True)
    expected = np.zeros((1, 20, 24, 3))
    expected[:, 8:12, 8:12] = 255
    np.testing.assert_array_equal(pixels, expected)


def stroke(paper: float, ink: float, noise: float = 0.0) -> np.ndarray:
    """A digit 1: a stroke of ink across the middle of the paper."""
    image = np.full((28, 28), paper) + noise * np.random.default_rng(0).normal(size=(28, 28))
    image[4:24, 12:16] = ink
    return np.clip(image, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize(
    "image",
    [
        stroke(255, 0),
        stroke(255, 90),
        stroke(180, 60, 8),
        stroke(200, 40, 15) + np.arange(28, dtype=np.uint8),
    ],
)
def test_ink_on_paper(image: np.ndarray) -> None:
    assert looks_like_ink_on_paper(image)
    assert looks_like_ink_on_paper(image[..., np.newaxis].astype(np.float64))
    assert not looks_like_ink_on_paper(255 - image)


@pytest.mark.parametrize(
    "image",
    [
        stroke(0, 255),
        stroke(255, 255),  # a blank page
        stroke(255, 0).repeat(3).reshape(28, 28, 3),
        PIXELS[0],
        np.tile(np.arange(0, 252, 9).astype(np.uint8), (28, 1)),  # a gradient
        np.zeros((28, 28)),
        np.full((28, 28), np.nan),
        np.zeros((2, 2)),
        np.zeros((0, 28, 1)),
    ],
)
def test_no_ink_on_paper(image: np.ndarray) -> None:
    assert not looks_like_ink_on_paper(image)


@pytest.mark.parametrize(
    ("image", "expected"),
    [((28, 28, 1), True), ((28, 28, 3), False), ((28, 65, 1), False), ((None, 28, 1), False)],
)
def test_small_and_grey(image: tuple[int | None, int | None, int], expected: bool) -> None:
    assert ImageFormat(*image).is_small_and_grey is expected
