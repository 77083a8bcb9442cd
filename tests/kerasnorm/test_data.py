from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasnorm import load_data
from kerasnorm.data import hold_out


def save(path: Path, **changes: np.ndarray) -> dict[str, Any]:
    """Save a small data set of three classes, with some arrays changed."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "x_train": rng.integers(0, 256, (12, 28, 28), np.uint8),
        "y_train": np.arange(12, dtype=np.uint8) % 3,
        "x_test": rng.integers(0, 256, (4, 28, 28), np.uint8),
        "y_test": np.array([0, 1, 2, 0], np.uint8),
    }
    np.savez(path, **{**arrays, **changes})
    return {**arrays, **changes}


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_npz_file(tmp_path: Path, channels: int | None) -> None:
    shape = (28, 28) if channels is None else (28, 28, channels)
    rng = np.random.default_rng(0)
    saved = save(
        tmp_path / "mine.npz",
        x_train=rng.integers(0, 256, (12, *shape), np.uint8),
        x_test=rng.integers(0, 256, (4, *shape), np.uint8),
        y_train=(np.arange(12) % 3)[:, None],
    )
    dataset = load_data(str(tmp_path / "mine.npz"))
    assert dataset.name == "mine"
    assert dataset.source == str(tmp_path / "mine.npz")
    assert dataset.image_shape == (28, 28, channels or 1)
    assert dataset.num_classes == 3
    assert dataset.class_names == ("0", "1", "2")
    assert len(dataset.pixel_mean) == (channels or 1)
    np.testing.assert_array_equal(dataset.x_train.reshape(saved["x_train"].shape), saved["x_train"])
    np.testing.assert_array_equal(dataset.y_train, np.arange(12) % 3)


def test_float_pixels_become_uint8_if_they_are_whole(tmp_path: Path) -> None:
    x = save(tmp_path / "bytes.npz")["x_train"]
    save(tmp_path / "whole.npz", x_train=x.astype(float))
    assert load_data(str(tmp_path / "whole.npz")).x_train.dtype == np.uint8
    save(tmp_path / "fractions.npz", x_train=x * 0.5)
    x_train = load_data(str(tmp_path / "fractions.npz")).x_train
    np.testing.assert_array_equal(x_train[..., 0], x * np.float32(0.5))


def test_unusable_array_names_its_file(tmp_path: Path) -> None:
    save(tmp_path / "bad.npz", y_test=np.array([0, 1, 2, 7]))
    with pytest.raises(ValueError, match=r"bad.npz: y_test: expected labels 0..2 as in training, got 7"):
        load_data(str(tmp_path / "bad.npz"))
    save(tmp_path / "constant.npz", x_train=np.zeros((12, 28, 28), np.uint8))
    with pytest.raises(ValueError, match=r"constant.npz: x_train: expected pixels that vary"):
        load_data(str(tmp_path / "constant.npz"))


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"data: expected one of auto, mnist, .* got 'imagenet'"):
        load_data("imagenet")


def test_named_file_has_known_classes_and_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERASNORM_DATA", str(tmp_path))
    save(tmp_path / "mnist.npz", y_train=np.arange(12) % 10, y_test=np.arange(4))
    for name in ("mnist", "auto"):
        dataset = load_data(name)
        assert dataset.source == str(tmp_path / "mnist.npz")
        assert (dataset.pixel_mean, dataset.pixel_std) == ((0.1307,), (0.3081,))
    save(tmp_path / "mnist.npz")
    with pytest.raises(ValueError, match=r"mnist.npz: expected labels 0..9, got 0..2"):
        load_data("mnist")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "digits"])
@pytest.mark.parametrize("classes", [3, 10])
def test_a_file_is_not_what_its_name_says_by_its_name_alone(tmp_path: Path, name: str, classes: int) -> None:
    path = tmp_path / f"{name}.npz"
    x = save(path, y_train=np.arange(12) % classes)["x_train"] / 255
    dataset = load_data(path)
    assert (dataset.name, dataset.class_names) == (name, tuple("0123456789"[:classes]))
    np.testing.assert_allclose(
        (dataset.pixel_mean[0], dataset.pixel_std[0]), (x.mean(), x.std()), atol=5e-5, rtol=0
    )


def test_a_file_whose_pixels_are_what_its_name_says_has_the_known_statistics(tmp_path: Path) -> None:
    pixels = np.zeros(12 * 28 * 28, np.uint8)
    pixels[: round(0.3963 * len(pixels))] = 184  # mean 0.2860, deviation 0.3529
    save(
        tmp_path / "fashion_mnist.npz",
        x_train=pixels.reshape(12, 28, 28),
        y_train=np.arange(12) % 10,
    )
    dataset = load_data(tmp_path / "fashion_mnist.npz")
    assert (dataset.pixel_mean, dataset.pixel_std) == ((0.2860,), (0.3530,))
    assert dataset.class_names[0] == "T-shirt/top"


def test_auto_rejects_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged MNIST is an error, not a reason to train on something else."""
    monkeypatch.setenv("KERASNORM_DATA", str(tmp_path))
    (tmp_path / "mnist.npz").write_bytes(b"PK damaged")
    with pytest.raises(ValueError, match=r"mnist.npz: expected a readable .npz file"):
        load_data("auto")


def test_digits_statistics_and_hash() -> None:
    digits = load_data("digits")
    assert digits.class_names == tuple("0123456789")
    assert load_data("digits").sha256 == digits.sha256
    x = digits.x_train / 255
    np.testing.assert_allclose(
        (digits.pixel_mean[0], digits.pixel_std[0]), (x.mean(), x.std()), atol=5e-5, rtol=0
    )


def test_sha256_depends_on_the_arrays_alone(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "b.npz", **save(tmp_path / "a.npz"))
    save(tmp_path / "c.npz", y_test=np.array([1, 0, 2, 0], np.uint8))
    a, b, c = (load_data(str(tmp_path / f"{name}.npz")).sha256 for name in "abc")
    assert a == b != c


@pytest.mark.mnist
def test_real_mnist() -> None:
    mnist = load_data("mnist")
    assert mnist.x_train.shape == (60000, 28, 28, 1)
    assert mnist.x_test.shape == (10000, 28, 28, 1)
    x = mnist.x_train / 255
    np.testing.assert_allclose((x.mean(), x.std()), (0.1307, 0.3081), atol=5e-5, rtol=0)
    if mnist.source.endswith(".npz"):
        assert load_data(mnist.source).pixel_std == mnist.pixel_std == (0.3081,)


def test_hold_out_takes_the_last_training_images() -> None:
    digits = load_data("digits")
    split = hold_out(digits, 200)
    assert split.name == "digits-held-out-200"
    np.testing.assert_array_equal(split.x_train, digits.x_train[:-200])
    np.testing.assert_array_equal(split.y_test, digits.y_train[-200:])
    assert split.sha256 != digits.sha256
    for count in (-1, len(digits.x_train)):
        with pytest.raises(ValueError, match=f"hold_out: expected 1 to .* training images, got {count}"):
            hold_out(digits, count)


def test_hold_out_leaves_images_of_each_class(tmp_path: Path) -> None:
    save(tmp_path / "sorted.npz", y_train=np.arange(12) // 4)
    dataset = load_data(tmp_path / "sorted.npz")
    assert len(hold_out(dataset, 3).x_train) == 9
    message = (
        "held_out: expected each class among the remaining training images, got none of class 2; shuffle"
    )
    with pytest.raises(ValueError, match=message):
        hold_out(dataset, 4)
