"""load_data: a data set by name or from a file, as checked arrays of raw pixels."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from export.errors import UserError
from kerasnorm.data_checks import check_arrays, pixel_statistics
from kerasnorm.data_sources import DOWNLOADS, KEYS, NotAvailable, load_digits, load_named, read_arrays

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

NAMES = ("auto", "mnist", "fashion_mnist", "cifar10", "digits")

# Mean and standard deviation of the training pixels, scaled to 0..1. Those of MNIST are the reference's.
PIXEL_STATISTICS: dict[str, Statistics] = {
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


@dataclass(frozen=True)
class Dataset:
    """Checked images and labels for training and test.

    Attributes:
        name: 'mnist', 'digits', ..., or the stem of a file's name.
        source: where the arrays came from, for people to read.
        x_train: training images, (n, height, width, channels), pixels 0..255 in uint8, or in float32 if the file
            has fractions.
        y_train: training labels, (n,) int64, 0 to classes - 1.
        x_test: test images, in the same format.
        y_test: test labels, in the same format.
        class_names: a name for each class.
        pixel_mean: mean of the training pixels scaled to 0..1, for each channel.
        pixel_std: standard deviation of the training pixels scaled to 0..1, for each channel.
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
        """SHA-256 of the names, dtypes, shapes and bytes of the four arrays."""
        digest = hashlib.sha256()
        for key in KEYS:
            array = np.ascontiguousarray(getattr(self, key))
            digest.update(f"{key} {array.dtype.str} {array.shape}\n".encode())
            digest.update(array.data)
        return digest.hexdigest()


def hold_out(dataset: Dataset, count: int) -> Dataset:
    """Return a validation split: the last `count` training images become the test images.

    Use it to choose a recipe without looking at the test images.

    Raises:
        UserError: `count` is less than 1, or leaves no training image of some class.
    """
    if not 1 <= count < len(dataset.x_train):
        raise UserError(
            f"hold_out: expected 1 to {len(dataset.x_train) - 1} of the {len(dataset.x_train)} training images, "
            f"got {count}"
        )
    lost = np.setdiff1d(dataset.y_train, dataset.y_train[:-count])
    if lost.size:
        raise UserError(
            f"held_out: expected each class among the remaining training images, got none of class {lost[0]}; shuffle "
            "the file, or hold out fewer"
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

    A named data set is read from NAME.npz in the folder that the environment variable KERASNORM_DATA names, or else
    from Keras' cache, or else Keras downloads it. A download fails if the server does not answer within seconds.

    Args:
        data: one of

            - 'mnist', 'fashion_mnist' or 'cifar10'.
            - 'digits': the handwritten digits in scikit-learn, enlarged to 28x28. They need no network.
            - 'auto': MNIST if it is available, otherwise digits, with a line on stderr that says why.
            - a .npz file with the arrays x_train, y_train, x_test and y_test. Images have the shape
              (n, height, width) or (n, height, width, channels) and pixels 0..255. Labels have the shape (n,) or
              (n, 1) and are whole numbers from 0.

    Raises:
        UserError: the data is not available or can't be used.
    """
    name = os.fspath(data)
    if name == "digits":
        return _dataset(name, *load_digits())
    if name in DOWNLOADS:
        return _dataset(name, *load_named(name))
    if name == "auto":
        try:
            return _dataset("mnist", *load_named("mnist"))
        except NotAvailable as error:
            print(f"data: using scikit-learn's digits at 28x28 instead of MNIST: {error}", file=sys.stderr)
            return _dataset("digits", *load_digits())
    path = Path(name)
    if path.suffix != ".npz":
        raise UserError(f"data: expected one of {', '.join(NAMES)} or a .npz file, got {name!r}")
    return _dataset(path.stem, str(path), read_arrays(path), is_file=True)


def _dataset(name: str, source: str, arrays: dict[str, np.ndarray], is_file: bool = False) -> Dataset:
    names, statistics = CLASS_NAMES.get(name), PIXEL_STATISTICS.get(name)
    checked = check_arrays(source, arrays, len(names) if names and not is_file else None)
    labels = tuple(str(label) for label in range(checked["y_train"].max() + 1))
    if is_file or statistics is None:
        computed = pixel_statistics(f"{source}: x_train", checked["x_train"])
        if is_file and not _is_what_its_name_says(name, computed, len(labels)):
            names, statistics = None, None
        statistics = statistics or computed
    mean, std = statistics
    return Dataset(name, source, **checked, class_names=names or labels, pixel_mean=mean, pixel_std=std)


def _is_what_its_name_says(name: str, computed: Statistics, num_classes: int) -> bool:
    """Whether a file, which may have any name, holds the named data: its classes and pixels say so, too."""
    known = PIXEL_STATISTICS.get(name)
    if known is None or num_classes != len(CLASS_NAMES[name]) or np.shape(computed) != np.shape(known):
        return False
    return bool(np.allclose(computed, known, rtol=0, atol=1e-3))
