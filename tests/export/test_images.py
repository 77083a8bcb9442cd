from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.errors import UserError
from export.images import ImageFormat, read_image, read_images

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


def test_files_folders_and_arrays_are_read(tmp_path: Path) -> None:
    for index, pixels in enumerate(PIXELS):
        Image.fromarray(pixels[..., 0]).save(tmp_path / f"image{index}.PNG")
    (tmp_path / "notes.txt").write_text("not an image")
    np.savez(tmp_path / "images.npz", x_train=np.zeros(3), x_test=PIXELS)
    (first,) = read_images([tmp_path / "image3.PNG"], GREY)
    assert first.names == [str(tmp_path / "image3.PNG")]
    np.testing.assert_array_equal(first.pixels, PIXELS[3:4])
    folder = list(read_images([tmp_path], GREY))
    assert [images.names for images in folder] == [
        [str(tmp_path / f"image{index}.PNG")] for index in range(9)
    ]
    np.testing.assert_array_equal(np.concatenate([images.pixels for images in folder]), PIXELS)
    (array,) = read_images([tmp_path / "images.npz"], GREY)
    assert array.names[8] == f"{tmp_path / 'images.npz'}[8]"
    np.testing.assert_array_equal(array.pixels, PIXELS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.png", r"none\.png: expected an image, found nothing of that name"),
        ("text.png", r"text\.png: expected an image \(\.png, .*: cannot identify"),
        ("cut.png", r"cut\.png: expected an image \(\.png, "),
        ("empty", r"empty: expected a folder with images \(\.png, .*, found none"),
        ("none.npz", r"none\.npz: expected a \.npz file, found nothing"),
        ("two.npz", r"two\.npz: expected an array x_test, x or images, got a, b"),
    ],
)
def test_unusable_file(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    grey_image().save(tmp_path / "image.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "image.png").read_bytes()[:200])
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "two.npz", a=PIXELS, b=PIXELS)
    with pytest.raises(UserError, match=message):
        list(read_images([tmp_path / name], GREY))
