"""Where data sets come from: a .npz file, a folder, Keras' cache, a download, or scikit-learn.

The arrays are returned as they are found. `kerasnorm.data_checks` checks them.
"""

from __future__ import annotations

import os
import socket
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.arrays import read_npz
from export.errors import UserError

KEYS = ("x_train", "y_train", "x_test", "y_test")
DOWNLOAD_TIMEOUT = 5.0  # seconds to wait for an answer before a download fails


@dataclass(frozen=True)
class Download:
    """What Keras downloads for a data set.

    Attributes:
        url: the first file that it requests.
        files: where it stores the data, below `datasets` in Keras' cache.
    """

    url: str
    files: tuple[str, ...]


DOWNLOADS = {
    "mnist": Download(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        ("mnist.npz",),
    ),
    "fashion_mnist": Download(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/train-labels-idx1-ubyte.gz",
        (
            "fashion-mnist/train-labels-idx1-ubyte.gz",
            "fashion-mnist/train-images-idx3-ubyte.gz",
            "fashion-mnist/t10k-labels-idx1-ubyte.gz",
            "fashion-mnist/t10k-images-idx3-ubyte.gz",
        ),
    ),
    "cifar10": Download(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        ("cifar-10-batches-py-target",),
    ),
}


class NotAvailable(UserError):
    """A named data set is in none of its sources."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays x_train, y_train, x_test and y_test of a .npz file.

    Raises:
        UserError: the file can't be read, or an array is missing.
    """

    def choose(names: list[str]) -> tuple[str, ...]:
        missing = [key for key in KEYS if key not in names]
        if missing:
            raise UserError(
                f"{path}: expected the arrays {', '.join(KEYS)}, got {', '.join(names) or 'none'}; "
                f"missing: {', '.join(missing)}"
            )
        return KEYS

    return dict(zip(KEYS, read_npz(path, choose), strict=True))


def load_named(name: str) -> tuple[str, dict[str, np.ndarray]]:
    """Load a data set of `DOWNLOADS`, from $KERASNORM_DATA/NAME.npz or else through Keras.

    Returns:
        The source, for people to read, and the arrays.

    Raises:
        NotAvailable: no source has the data set.
        UserError: KERASNORM_DATA is not a folder, or its file can't be read.
    """
    folder = os.environ.get("KERASNORM_DATA")
    if folder:
        if not Path(folder).is_dir():
            raise UserError(f"KERASNORM_DATA: expected a folder, got {folder!r}; correct it or unset it")
        path = Path(folder) / f"{name}.npz"
        if path.exists():
            return str(path), read_arrays(path)
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"
    if not all((cache / file).exists() for file in DOWNLOADS[name].files):
        try:
            probe(DOWNLOADS[name].url)
        except OSError as error:
            looked = f"KERASNORM_DATA has no {name}.npz" if folder else "KERASNORM_DATA is not set"
            reason = getattr(error, "reason", None) or error
            raise NotAvailable(
                f"{name} is not available: {looked}, it is not in {cache}, and the download failed ({reason}); "
                f"set KERASNORM_DATA to a folder with {name}.npz"
            ) from error
    try:
        return f"keras.datasets.{name}", _load_with_keras(name)
    except Exception as error:
        # Keras raises a bare Exception for a failed download, and what zip and gzip raise for a damaged file.
        raise NotAvailable(
            f"{name} is not available: Keras could not load it ({error}); if a file in {cache} is damaged, delete it"
        ) from error


def load_digits() -> tuple[str, dict[str, np.ndarray]]:
    """Load scikit-learn's handwritten digits, enlarged from 8x8 to 28x28 pixels.

    Returns:
        The source, for people to read, and the arrays: 1,437 training and 360 test images.
    """
    from PIL import Image
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    small, labels = datasets.load_digits(return_X_y=True)
    small = np.round(small.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    # 20x20 pixels at the centre of 28x28, like the digits of MNIST.
    enlarged = [Image.fromarray(image).resize((20, 20), Image.Resampling.BICUBIC) for image in small]
    images = np.pad(np.stack([np.asarray(image) for image in enlarged]), ((0, 0), (4, 4), (4, 4)))
    # The split belongs to the data set: it is the same in every run, whatever the seed.
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=360, stratify=labels, random_state=0
    )
    arrays = dict(zip(KEYS, (x_train, y_train, x_test, y_test), strict=True))
    return "sklearn.datasets.load_digits, 8x8 brought to 28x28", arrays


def probe(url: str) -> None:
    """Request the headers of `url`.

    The request runs in a thread of its own, which is abandoned after the timeout: a DNS lookup can hang for minutes,
    and Python can't interrupt it.

    Raises:
        OSError: the request fails or takes more than DOWNLOAD_TIMEOUT seconds.
    """
    outcome: list[OSError | None] = []

    def request() -> None:
        try:
            head = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(head, timeout=DOWNLOAD_TIMEOUT).close()
            outcome.append(None)
        except (OSError, ValueError) as error:
            outcome.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_TIMEOUT)
    if not outcome:
        raise TimeoutError(f"no answer within {DOWNLOAD_TIMEOUT:g} seconds")
    if outcome[0] is not None:
        raise outcome[0]


def _load_with_keras(name: str) -> dict[str, np.ndarray]:
    import keras

    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # Keras downloads by urlretrieve, which takes no timeout
    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    finally:
        socket.setdefaulttimeout(previous)
    return dict(zip(KEYS, (x_train, y_train, x_test, y_test), strict=True))
