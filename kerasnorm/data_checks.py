"""Checks of a data set's arrays. Each message says what was expected and what was received."""

from __future__ import annotations

import numpy as np

from export.errors import UserError


def check_arrays(
    source: str, arrays: dict[str, np.ndarray], num_classes: int | None
) -> dict[str, np.ndarray]:
    """Check images and labels for training and test, and bring them to one format.

    Args:
        source: where the arrays come from, for messages.
        arrays: x_train, y_train, x_test and y_test.
        num_classes: the number of classes if it is known.

    Returns:
        The arrays by the same names: images (n, height, width, channels) of pixels 0..255, in uint8 or, if there are
        fractions, in float32; labels (n,) int64.

    Raises:
        UserError: an array can't be used.
    """
    x_train = _check_images(f"{source}: x_train", arrays["x_train"])
    x_test = _check_images(f"{source}: x_test", arrays["x_test"])
    if x_train.shape[1:] != x_test.shape[1:]:
        raise UserError(
            f"{source}: expected training and test images of one shape, "
            f"got {x_train.shape[1:]} and {x_test.shape[1:]}"
        )
    y_train = _check_labels(f"{source}: y_train", arrays["y_train"], len(x_train))
    y_test = _check_labels(f"{source}: y_test", arrays["y_test"], len(x_test))
    _check_classes(source, y_train, y_test, num_classes)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def pixel_statistics(name: str, images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, with pixels scaled to 0..1, to four decimals.

    Args:
        name: what the images are, for messages.
        images: (n, height, width, channels), pixels 0..255.

    Raises:
        UserError: a channel is constant.
    """
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64) / 255
    std = np.round(images.std(axis=(0, 1, 2), dtype=np.float64) / 255, 4)
    if std.min() <= 0:
        raise UserError(f"{name}: expected pixels that vary in each channel, got a constant channel")
    return tuple(np.round(mean, 4).tolist()), tuple(std.tolist())


def _check_images(name: str, images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or 0 in images.shape:
        raise UserError(
            f"{name}: expected images (n, height, width) or (n, height, width, channels), got shape {images.shape}"
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf":
        raise UserError(f"{name}: expected pixels 0..255 as numbers, got dtype {images.dtype}")
    if images.dtype.kind == "f" and not np.all(np.isfinite(images)):
        bad = int(np.count_nonzero(~np.isfinite(images)))
        raise UserError(f"{name}: expected finite pixels, got {bad} that are NaN or infinite")
    low, high = images.min(), images.max()
    if low < 0 or high > 255:
        raise UserError(f"{name}: expected pixels 0..255, got {low:g}..{high:g}; undo their normalization")
    if images.dtype.kind == "f" and high <= 1:
        raise UserError(f"{name}: expected pixels 0..255, got {low:g}..{high:g}; multiply them by 255")
    if images.dtype.kind == "f" and np.any(images != np.round(images)):
        return images.astype(np.float32)
    return images.astype(np.uint8)


def _check_labels(name: str, labels: np.ndarray, count: int) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise UserError(f"{name}: expected {count} labels, one for each image, got shape {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise UserError(f"{name}: expected whole numbers, got dtype {labels.dtype}")
    if labels.min() < 0:
        raise UserError(f"{name}: expected labels from 0, got {int(labels.min())}")
    if int(labels.max()) >= 2**63:  # in int64 it would be negative
        raise UserError(
            f"{name}: expected labels from 0 without gaps, got {labels.max()}; renumber the labels"
        )
    return labels.astype(np.int64)


def _check_classes(source: str, y_train: np.ndarray, y_test: np.ndarray, expected: int | None) -> None:
    num_classes = int(y_train.max()) + 1
    if expected is not None and num_classes != expected:
        raise UserError(f"{source}: expected labels 0..{expected - 1}, got 0..{num_classes - 1}")
    present = np.unique(y_train)
    if len(present) != num_classes:
        missing = int(np.argmax(present != np.arange(len(present))))  # the first that is not in its position
        raise UserError(
            f"{source}: y_train: expected labels 0..{num_classes - 1} without gaps, got no image with label "
            f"{missing}; renumber the labels"
        )
    if num_classes < 2:
        raise UserError(f"{source}: expected two classes or more, got labels {present.tolist()}")
    if y_test.max() >= num_classes:
        raise UserError(
            f"{source}: y_test: expected labels 0..{num_classes - 1} as in training, got {int(y_test.max())}"
        )
