"""Files, folders, caches and servers, of which many are damaged, missing or silent."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasnorm import data_sources, load_data
from kerasnorm.data_sources import KEYS, NotAvailable, load_digits, load_named, read_arrays

ARRAYS: dict[str, Any] = {key: np.arange(12) for key in KEYS}


def test_digits_are_stratified_and_look_like_mnist() -> None:
    source, digits = load_digits()
    assert source.startswith("sklearn.datasets.load_digits")
    assert digits["x_train"].shape == (1437, 28, 28)
    assert digits["x_test"].shape == (360, 28, 28)
    assert digits["x_train"].dtype == np.uint8
    for labels in (digits["y_train"], digits["y_test"]):
        assert set(labels) == set(range(10))
        shares = np.bincount(labels) / len(labels)
        np.testing.assert_allclose(shares, 0.1, atol=0.01, rtol=0)
    assert digits["x_train"].max() == 255
    assert digits["x_train"][:, :4].max() == 0  # the margin


def test_unreadable_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "good.npz", **ARRAYS)
    content = (tmp_path / "good.npz").read_bytes()
    for name, part in {"empty": b"", "text": b"hello", "head": content[: len(content) // 2]}.items():
        (tmp_path / f"{name}.npz").write_bytes(part)
        with pytest.raises(ValueError, match=f"{name}.npz: expected a readable .npz file"):
            read_arrays(tmp_path / f"{name}.npz")
    damaged = bytearray(content)
    damaged[content.index(np.arange(12).tobytes())] ^= 0xFF
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"damaged.npz: expected a readable .npz file.*CRC"):
        read_arrays(tmp_path / "damaged.npz")
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"array.npz: expected a .npz archive, got a single array"):
        read_arrays(tmp_path / "array.npz")
    np.savez(tmp_path / "keys.npz", x_train=np.zeros(3), images=np.zeros(3))
    with pytest.raises(ValueError, match=r"got x_train, images; missing: y_train, x_test, y_test"):
        read_arrays(tmp_path / "keys.npz")
    np.savez(tmp_path / "pickled.npz", **{**ARRAYS, "y_test": np.array([0, None], object)})
    with pytest.raises(ValueError, match="it holds pickled objects, which are never loaded"):
        read_arrays(tmp_path / "pickled.npz")
    with pytest.raises(ValueError, match=r"none.npz: expected a .npz file, found nothing"):
        read_arrays(tmp_path / "none.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ValueError, match=r"folder.npz: expected a .npz file, got a folder"):
        read_arrays(tmp_path / "folder.npz")


def test_kerasnorm_data_is_the_first_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "mnist.npz", **ARRAYS)
    monkeypatch.setenv("KERASNORM_DATA", str(tmp_path))
    source, arrays = load_named("mnist")
    assert source == str(tmp_path / "mnist.npz")
    np.testing.assert_array_equal(arrays["y_test"], ARRAYS["y_test"])
    monkeypatch.setenv("KERASNORM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="KERASNORM_DATA: expected a folder"):
        load_named("mnist")


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
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
    monkeypatch.setattr(data_sources, "DOWNLOAD_TIMEOUT", 1.0)
    return monkeypatch


def request_mnist_from(url: str, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(data_sources.DOWNLOADS, "mnist", data_sources.Download(url, ("mnist.npz",)))


def test_silent_server_times_out(
    no_cache: pytest.MonkeyPatch, silent_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    request_mnist_from(silent_server, no_cache)
    start = time.monotonic()
    assert load_data("auto").name == "digits"
    assert time.monotonic() - start < 3
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "using scikit-learn's digits at 28x28 instead of MNIST: mnist is not available" in message
    with pytest.raises(
        NotAvailable, match=r"mnist is not available: KERASNORM_DATA is not set.*download failed"
    ):
        load_named("mnist")


def test_stalled_download_times_out(no_cache: pytest.MonkeyPatch, silent_server: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    no_cache.setattr(data_sources, "probe", lambda url: None)
    # Keras' own downloader, with the silent server in place of Keras' address
    no_cache.setattr(
        keras.datasets.mnist,
        "load_data",
        lambda: keras.utils.get_file("mnist.npz", silent_server, cache_dir=str(tmp_path)),
    )
    before, start = socket.getdefaulttimeout(), time.monotonic()
    with pytest.raises(NotAvailable, match="mnist is not available: Keras could not load it"):
        load_named("mnist")
    assert time.monotonic() - start < 4
    assert socket.getdefaulttimeout() == before
    assert not (tmp_path / "datasets/mnist.npz").exists()


def test_refused_connection_falls_back_at_once(
    no_cache: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # after this block, nothing listens on it
    request_mnist_from(f"http://127.0.0.1:{port}/mnist.npz", no_cache)
    assert load_data("auto").name == "digits"
    assert "Connection refused" in capsys.readouterr().err
