import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasnorm import data, load_data


def arrays(**changes: np.ndarray) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    good = {
        "x_train": rng.integers(0, 256, (12, 28, 28), np.uint8),
        "y_train": np.arange(12, dtype=np.uint8) % 3,
        "x_test": rng.integers(0, 256, (4, 28, 28), np.uint8),
        "y_test": np.array([0, 1, 2, 0], np.uint8),
    }
    return {**good, **changes}


def test_digits_are_stratified_and_look_like_mnist() -> None:
    digits = load_data("digits")
    assert digits.x_train.shape == (1437, 28, 28, 1)
    assert digits.x_test.shape == (360, 28, 28, 1)
    assert digits.x_train.dtype == np.uint8
    for labels in (digits.y_train, digits.y_test):
        assert set(labels) == set(range(10))
        shares = np.bincount(labels) / len(labels)
        np.testing.assert_allclose(shares, 0.1, atol=0.01, rtol=0)
    assert digits.x_train.max() == 255
    assert digits.x_train[:, :4].max() == 0  # the margin
    again = load_data("digits")
    assert again.sha256 == digits.sha256
    x = digits.x_train / 255
    np.testing.assert_allclose(
        (digits.pixel_mean[0], digits.pixel_std[0]), (x.mean(), x.std()), atol=5e-5, rtol=0
    )


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_a_file_of_the_keras_layout(tmp_path: Path, channels: int | None) -> None:
    shape = (28, 28) if channels is None else (28, 28, channels)
    rng = np.random.default_rng(0)
    given = arrays(
        x_train=rng.integers(0, 256, (12, *shape), np.uint8),
        x_test=rng.integers(0, 256, (4, *shape), np.uint8),
        y_train=(np.arange(12) % 3)[:, None],
    )
    np.savez(tmp_path / "mine.npz", **given)
    dataset = load_data(str(tmp_path / "mine.npz"))
    assert dataset.name == "mine"
    assert dataset.image_shape == (28, 28, channels or 1)
    assert dataset.num_classes == 3
    assert len(dataset.pixel_mean) == (channels or 1)
    np.testing.assert_array_equal(dataset.x_train.reshape(given["x_train"].shape), given["x_train"])
    np.testing.assert_array_equal(dataset.y_train, np.arange(12) % 3)


def test_float_pixels_of_0_to_255_are_kept(tmp_path: Path) -> None:
    x = arrays()["x_train"]
    np.savez(tmp_path / "whole.npz", **arrays(x_train=x.astype(float)))
    assert load_data(str(tmp_path / "whole.npz")).x_train.dtype == np.uint8
    np.savez(tmp_path / "parts.npz", **arrays(x_train=x * 0.5))
    np.testing.assert_array_equal(load_data(str(tmp_path / "parts.npz")).x_train[..., 0], x * np.float32(0.5))


def with_nan(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float32)
    x[1, 2, 3] = np.nan
    return x


X, Y = arrays()["x_train"], arrays()["y_train"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": with_nan(X)}, "x_train: expected finite pixels, got 1 that are NaN"),
        ({"x_train": X / 255}, r"x_train: expected pixels 0..255, got .*multiply them by 255"),
        ({"x_train": X.astype(int) - 100}, r"x_train: expected pixels 0..255, got -100..155"),
        ({"x_train": X.astype(str)}, "x_train: expected pixels 0..255 as numbers, got dtype <U3"),
        ({"x_train": X[0, 0]}, r"x_train: expected images .* got shape \(28,\)"),
        ({"x_train": X[:0], "y_train": Y[:0]}, r"x_train: expected images .* got shape \(0, 28, 28, 1\)"),
        ({"x_test": X[:4, :20]}, "training and test images of one shape"),
        ({"x_train": X * 0}, "x_train: expected images that differ"),
        ({"y_train": Y[:5]}, r"y_train: expected 12 labels, one for each image, got shape \(5,\)"),
        ({"y_train": Y.astype(float)}, "y_train: expected whole numbers, got dtype float64"),
        ({"y_train": Y.astype(int) - 1}, "y_train: expected labels from 0, got -1"),
        ({"y_train": Y * 0}, "expected two classes or more"),
        (
            {"y_train": Y.astype(int) * 2},
            r"y_train: expected labels 0..4 without gaps, but no image has label 1",
        ),
        ({"y_train": Y.astype(int) * 10**9}, "without gaps, but no image has label 1;"),
        ({"y_test": np.array([0, 1, 2, 7])}, r"y_test: expected labels 0..2 as in training, got 7"),
        ({"y_test": np.array([0, 1, 2, None], object)}, "it holds pickled objects, which are never loaded"),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays(**changes))
    with pytest.raises(ValueError, match=message) as caught:
        load_data(str(tmp_path / "bad.npz"))
    assert "\n" not in str(caught.value)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "good.npz", **arrays())
    content = (tmp_path / "good.npz").read_bytes()
    for name, part in {"empty": b"", "text": b"hello", "head": content[: len(content) // 2]}.items():
        (tmp_path / f"{name}.npz").write_bytes(part)
        with pytest.raises(ValueError, match=f"{name}.npz: expected a readable .npz file"):
            load_data(str(tmp_path / f"{name}.npz"))
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 0xFF
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"damaged.npz: expected a readable .npz file.*CRC"):
        load_data(str(tmp_path / "damaged.npz"))
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"array.npz: expected a .npz archive, got a single array"):
        load_data(str(tmp_path / "array.npz"))
    np.savez(tmp_path / "keys.npz", x_train=np.zeros(3), images=np.zeros(3))
    with pytest.raises(ValueError, match=r"got x_train, images; missing: y_train, x_test, y_test"):
        load_data(str(tmp_path / "keys.npz"))
    with pytest.raises(ValueError, match=r"none.npz: expected a .npz file, found nothing"):
        load_data(str(tmp_path / "none.npz"))
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ValueError, match=r"folder.npz: expected a .npz file, got a folder"):
        load_data(str(tmp_path / "folder.npz"))
    with pytest.raises(ValueError, match=r"data: expected one of auto, mnist, .* got 'imagenet'"):
        load_data("imagenet")


def test_sha256_tells_arrays_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays())
    np.savez_compressed(tmp_path / "b.npz", **arrays())
    swapped = arrays(y_test=np.array([1, 0, 2, 0], np.uint8))
    np.savez(tmp_path / "c.npz", **swapped)
    a, b, c = (load_data(str(tmp_path / f"{name}.npz")).sha256 for name in "abc")
    assert a == b != c


def test_kerasnorm_data_names_a_folder_to_look_in_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arrays(y_train=np.arange(12) % 10, y_test=np.arange(4))
    np.savez(tmp_path / "mnist.npz", **given)
    monkeypatch.setenv("KERASNORM_DATA", str(tmp_path))
    for name in ("mnist", "auto"):
        dataset = load_data(name)
        assert dataset.source == str(tmp_path / "mnist.npz")
        assert (dataset.pixel_mean, dataset.pixel_std) == ((0.1307,), (0.3081,))
    np.savez(tmp_path / "mnist.npz", **arrays())
    with pytest.raises(ValueError, match=r"mnist.npz: expected labels 0..9, got 0..2"):
        load_data("mnist")
    (tmp_path / "mnist.npz").write_bytes(b"PK damaged")
    with pytest.raises(ValueError, match=r"mnist.npz: expected a readable .npz file"):
        load_data("auto")  # a damaged file is an error, not a reason to train on something else
    monkeypatch.setenv("KERASNORM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="KERASNORM_DATA: expected a folder"):
        load_data("auto")


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connections.append(server.accept())
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/mnist.npz"
        server.shutdown(socket.SHUT_RDWR)
    for connection, _ in connections:
        connection.close()


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("KERASNORM_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(data, "DOWNLOAD_TIMEOUT", 1.0)
    return monkeypatch


def test_a_server_that_never_answers_does_not_hang(
    no_cache: pytest.MonkeyPatch, silent_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    no_cache.setitem(data._ORIGIN, "mnist", silent_server)
    start = time.monotonic()
    assert load_data("auto").name == "digits"
    assert time.monotonic() - start < 3
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "using scikit-learn's digits at 28x28 in place of MNIST: mnist can't be had" in message
    with pytest.raises(ValueError, match=r"mnist can't be had: KERASNORM_DATA is not set.*download failed"):
        load_data("mnist")


def test_a_download_that_stops_in_the_middle_does_not_hang(
    no_cache: pytest.MonkeyPatch, silent_server: str, tmp_path: Path
) -> None:
    keras = pytest.importorskip("keras")
    no_cache.setattr(data, "_probe", lambda url: None)
    # Keras' own downloader against the silent server, in place of the address written into Keras
    no_cache.setattr(
        keras.datasets.mnist,
        "load_data",
        lambda: keras.utils.get_file("mnist.npz", silent_server, cache_dir=str(tmp_path)),
    )
    before, start = socket.getdefaulttimeout(), time.monotonic()
    with pytest.raises(ValueError, match="mnist can't be had: Keras' loader said"):
        load_data("mnist")
    assert time.monotonic() - start < 4
    assert socket.getdefaulttimeout() == before
    assert not (tmp_path / "datasets/mnist.npz").exists()


def test_a_refused_connection_falls_back_at_once(
    no_cache: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # free again, and closed, after the block
    no_cache.setitem(data._ORIGIN, "mnist", f"http://127.0.0.1:{port}/mnist.npz")
    assert load_data("auto").name == "digits"
    assert "Connection refused" in capsys.readouterr().err


@pytest.mark.mnist
def test_the_real_mnist() -> None:
    mnist = load_data("mnist")
    assert mnist.x_train.shape == (60000, 28, 28, 1)
    assert mnist.x_test.shape == (10000, 28, 28, 1)
    x = mnist.x_train / 255
    np.testing.assert_allclose((x.mean(), x.std()), (0.1307, 0.3081), atol=5e-5, rtol=0)


def test_the_last_training_images_are_held_out() -> None:
    digits = load_data("digits")
    split = data.hold_out(digits, 200)
    assert split.name == "digits-held-out-200"
    np.testing.assert_array_equal(split.x_train, digits.x_train[:-200])
    np.testing.assert_array_equal(split.y_test, digits.y_train[-200:])
    assert split.sha256 != digits.sha256
    for count in (-1, len(digits.x_train)):
        with pytest.raises(ValueError, match=f"hold_out: expected 1 to .* training images, got {count}"):
            data.hold_out(digits, count)
