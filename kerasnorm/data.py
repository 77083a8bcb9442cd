"""load_data: a data set by name or file, as checked arrays of raw pixels."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from export.arrays import read_npz
from export.errors import UserError

KEYS = ("x_train", "y_train", "x_test", "y_test")
NAMES = ("auto", "mnist", "fashion_mnist", "cifar10", "digits")

# Mean and standard deviation of the training pixels, scaled to 0..1; MNIST's are the reference's.
PIXEL_STATISTICS = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}
_DIGITS = tuple("0123456789")
CLASS_NAMES = {
    "mnist": _DIGITS,
    "digits": _DIGITS,
    "fashion_mnist": (
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    "cifar10": (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
}

# Where Keras' own download puts each data set below its cache, and the first file it fetches.
_KERAS_CACHE = {
    "mnist": ["mnist.npz"],
    "fashion_mnist": [
        "fashion-mnist/train-labels-idx1-ubyte.gz",
        "fashion-mnist/train-images-idx3-ubyte.gz",
        "fashion-mnist/t10k-labels-idx1-ubyte.gz",
        "fashion-mnist/t10k-images-idx3-ubyte.gz",
    ],
    "cifar10": ["cifar-10-batches-py-target"],
}
_ORIGIN = {
    "mnist": "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    "fashion_mnist": "https://storage.googleapis.com/tensorflow/tf-keras-datasets/train-labels-idx1-ubyte.gz",
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
}
DOWNLOAD_TIMEOUT = 5.0  # seconds without an answer after which a download is given up


@dataclass(frozen=True)
class Dataset:
    """Images and labels for training and test, checked.

    Attributes:
        name: 'mnist', 'digits', ..., or the stem of a file's name.
        source: where the arrays came from, for people to read.
        x_train: training images, (n, height, width, channels), pixels 0..255, uint8 (float32 if the file
            has fractions).
        y_train: their labels, (n,) int64, 0 to classes - 1.
        x_test: test images, likewise.
        y_test: their labels, likewise.
        class_names: a name for each class.
        pixel_mean: mean of the training pixels scaled to 0..1; one for each channel.
        pixel_std: their standard deviation, likewise.
    """

    name: str
    source: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return tuple(self.x_train.shape[1:])

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over the names, dtypes, shapes and bytes of the four arrays."""
        digest = hashlib.sha256()
        for key in KEYS:
            array = np.ascontiguousarray(getattr(self, key))
            digest.update(f"{key} {array.dtype.str} {array.shape}\n".encode())
            digest.update(array.data)
        return digest.hexdigest()


def hold_out(dataset: Dataset, count: int) -> Dataset:
    """The last `count` training images as the test images: a validation split, to choose a recipe by.

    Raises:
        UserError: there are not that many images.
    """
    if not 1 <= count < len(dataset.x_train):
        raise UserError(
            f"hold_out: expected 1 to {len(dataset.x_train) - 1} of the {len(dataset.x_train)} training images, "
            f"got {count}"
        )
    return replace(
        dataset,
        name=f"{dataset.name}-held-out-{count}",
        x_train=dataset.x_train[:-count],
        y_train=dataset.y_train[:-count],
        x_test=dataset.x_train[-count:],
        y_test=dataset.y_train[-count:],
    )


def load_data(data: str | os.PathLike[str] = "auto") -> Dataset:
    """Load a data set and check it.

    A named data set is looked for as NAME.npz in the folder that the environment variable KERASNORM_DATA
    names, then in Keras' cache, then downloaded there by Keras. A download that gets no answer is given
    up after a few seconds.

    Args:
        data: 'mnist', 'fashion_mnist', 'cifar10'; 'digits', the handwritten digits within scikit-learn,
            brought to 28x28 (they need no network); 'auto', MNIST where it can be had, else digits, with
            a line on stderr that says why; or a .npz file with the arrays x_train, y_train, x_test and
            y_test: images (n, height, width) or (n, height, width, channels) with pixels 0..255, labels
            (n,) or (n, 1) whole numbers from 0.

    Raises:
        UserError: the data can't be had or used; the message says what was expected and what came.
    """
    name = os.fspath(data)
    if name == "digits":
        return _digits()
    if name in _ORIGIN:
        return _named(name)
    if name == "auto":
        try:
            return _named("mnist")
        except _NotAvailable as error:
            print(f"data: using scikit-learn's digits at 28x28 in place of MNIST: {error}", file=sys.stderr)
            return _digits()
    path = Path(name)
    if path.suffix != ".npz":
        raise UserError(f"data: expected one of {', '.join(NAMES)} or a .npz file, got {name!r}")
    return _check(path.stem, str(path), _read_npz(path))


class _NotAvailable(UserError):
    """A named data set is in no place that was looked in."""


def _named(name: str) -> Dataset:
    folder = os.environ.get("KERASNORM_DATA")
    if folder:
        if not Path(folder).is_dir():
            raise UserError(f"KERASNORM_DATA: expected a folder, got {folder!r}; correct it or unset it")
        path = Path(folder) / f"{name}.npz"
        if path.exists():
            return _check(name, str(path), _read_npz(path))
    keras_home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    cached = [keras_home / "datasets" / file for file in _KERAS_CACHE[name]]
    if not all(path.exists() for path in cached):
        place = f"no {name}.npz in KERASNORM_DATA" if folder else "KERASNORM_DATA is not set"
        try:
            _probe(_ORIGIN[name])
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            raise _NotAvailable(
                f"{name} can't be had: {place}, it is not in {keras_home / 'datasets'}, "
                f"and the download failed ({reason})"
            ) from error
    try:
        arrays = _load_with_keras(name)
    except Exception as error:
        # Keras raises bare Exceptions for failed downloads, and whatever zip and gzip raise for bad files.
        raise _NotAvailable(
            f"{name} can't be had: Keras' loader said '{error}'; if a file in {keras_home / 'datasets'} "
            "is damaged, delete it"
        ) from error
    return _check(name, f"keras.datasets.{name}", arrays)


def _load_with_keras(name: str) -> dict[str, np.ndarray]:
    import keras

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # urlretrieve, which Keras uses, has none of its own
    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    finally:
        socket.setdefaulttimeout(before)
    return dict(zip(KEYS, (x_train, y_train, x_test, y_test), strict=True))


def _probe(url: str) -> None:
    """Ask for `url`'s header; raise OSError unless the answer comes within DOWNLOAD_TIMEOUT seconds.

    The request runs in a thread that is left behind when it is late: looking up a host's name can hang
    for minutes, and no timeout of Python's reaches it.
    """
    outcome: list[OSError | None] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=DOWNLOAD_TIMEOUT).close()
            outcome.append(None)
        except (OSError, ValueError) as error:
            outcome.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_TIMEOUT)
    if not outcome:
        raise TimeoutError(f"no answer within {DOWNLOAD_TIMEOUT:g} seconds")
    if outcome[0] is not None:
        raise outcome[0]


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    def choose(names: list[str]) -> tuple[str, ...]:
        missing = [key for key in KEYS if key not in names]
        if missing:
            raise UserError(
                f"{path}: expected the arrays {', '.join(KEYS)}, got {', '.join(names) or 'none'}; "
                f"missing: {', '.join(missing)}"
            )
        return KEYS

    return dict(zip(KEYS, read_npz(path, choose), strict=True))


def _check(name: str, source: str, arrays: dict[str, np.ndarray]) -> Dataset:
    """A Dataset from the four arrays, or UserError for the first thing wrong with them."""
    x_train = _check_images(f"{source}: x_train", arrays["x_train"])
    x_test = _check_images(f"{source}: x_test", arrays["x_test"])
    if x_train.shape[1:] != x_test.shape[1:]:
        raise UserError(
            f"{source}: expected training and test images of one shape, "
            f"got {x_train.shape[1:]} and {x_test.shape[1:]}"
        )
    y_train = _check_labels(f"{source}: y_train", arrays["y_train"], len(x_train))
    y_test = _check_labels(f"{source}: y_test", arrays["y_test"], len(x_test))
    num_classes = int(y_train.max()) + 1
    if name in CLASS_NAMES and num_classes != len(CLASS_NAMES[name]):
        raise UserError(
            f"{source}: expected labels 0..{len(CLASS_NAMES[name]) - 1}, got 0..{num_classes - 1}"
        )
    if num_classes > len(y_train) or len(np.unique(y_train)) != num_classes:
        present = set(np.unique(y_train).tolist())
        absent = next(label for label in range(num_classes) if label not in present)
        raise UserError(
            f"{source}: y_train: expected labels 0..{num_classes - 1} without gaps, but no image has label "
            f"{absent}; renumber the labels"
        )
    if num_classes < 2:
        raise UserError(f"{source}: expected two classes or more, got labels {np.unique(y_train).tolist()}")
    if y_test.max() >= num_classes:
        raise UserError(
            f"{source}: y_test: expected labels 0..{num_classes - 1} as in training, got {int(y_test.max())}"
        )
    mean, std = PIXEL_STATISTICS.get(name) or _pixel_statistics(x_train)
    if min(std) <= 0:
        raise UserError(f"{source}: x_train: expected images that differ, got a channel of equal pixels")
    names = CLASS_NAMES.get(name) or tuple(str(label) for label in range(num_classes))
    return Dataset(name, source, x_train, y_train, x_test, y_test, names, mean, std)


def _check_images(what: str, images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or 0 in images.shape:
        raise UserError(
            f"{what}: expected images (n, height, width) or (n, height, width, channels), got shape {images.shape}"
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf":
        raise UserError(f"{what}: expected pixels 0..255 as numbers, got dtype {images.dtype}")
    if images.dtype.kind == "f" and not np.all(np.isfinite(images)):
        bad = int(np.count_nonzero(~np.isfinite(images)))
        raise UserError(f"{what}: expected finite pixels, got {bad} that are NaN or infinite")
    low, high = images.min(), images.max()
    if low < 0 or high > 255:
        raise UserError(f"{what}: expected pixels 0..255, got {low:g}..{high:g}; undo their normalization")
    if images.dtype.kind == "f" and high <= 1:
        raise UserError(f"{what}: expected pixels 0..255, got {low:g}..{high:g}; multiply them by 255")
    if images.dtype.kind == "f" and np.any(images != np.round(images)):
        return images.astype(np.float32)
    return images.astype(np.uint8)


def _check_labels(what: str, labels: np.ndarray, count: int) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise UserError(f"{what}: expected {count} labels, one for each image, got shape {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise UserError(f"{what}: expected whole numbers, got dtype {labels.dtype}")
    if labels.min() < 0:
        raise UserError(f"{what}: expected labels from 0, got {int(labels.min())}")
    return labels.astype(np.int64)


def _pixel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels scaled to 0..1, to four digits."""
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64) / 255
    std = images.std(axis=(0, 1, 2), dtype=np.float64) / 255
    return tuple(np.round(mean, 4).tolist()), tuple(np.round(std, 4).tolist())


def _digits() -> Dataset:
    from PIL import Image
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    small, labels = load_digits(return_X_y=True)
    small = np.round(small.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    # 20x20 pixels in the middle of 28x28, as MNIST's digits lie.
    enlarged = [Image.fromarray(image).resize((20, 20), Image.Resampling.BICUBIC) for image in small]
    images = np.pad(np.stack([np.asarray(image) for image in enlarged]), ((0, 0), (4, 4), (4, 4)))
    # The split is part of the data set: the same for every run, whatever its seed.
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=360, stratify=labels, random_state=0
    )
    arrays = dict(zip(KEYS, (x_train, y_train, x_test, y_test), strict=True))
    return _check("digits", "sklearn.datasets.load_digits, 8x8 brought to 28x28", arrays)
