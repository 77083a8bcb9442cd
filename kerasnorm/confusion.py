"""confusion.csv of a run directory: how a model classified the test images of each class."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.errors import UserError
from export.files import write_text

CONFUSION = "confusion.csv"
_COLUMNS = ("class", "images", "accuracy")

# A thousand classes are a file of 2 MB and a picture with a dozen pixels for each class.
MOST_CLASSES = 1000


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix.

    Attributes:
        class_names: a name for each class.
        counts: (classes, classes) int64: the images of each class (row) by the class that was predicted (column).
    """

    class_names: tuple[str, ...]
    counts: np.ndarray

    @property
    def images(self) -> np.ndarray:
        """Number of images of each class, (classes,)."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def accuracies(self) -> np.ndarray:
        """Share of the images of each class that are classified right, (classes,); NaN for a class without images."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.diagonal(self.counts) / self.images)


def add(matrices: Sequence[Confusion]) -> Confusion | None:
    """Return the sum of several matrices; None if there are none, or if their classes differ."""
    if len({matrix.class_names for matrix in matrices}) != 1:
        return None
    return Confusion(matrices[0].class_names, np.sum([matrix.counts for matrix in matrices], axis=0))


def write_confusion(file: Path, confusion: Confusion) -> None:
    """Write a row for each class: its images, its accuracy, and how many images were taken for each class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"predicted {name}" for name in confusion.class_names)])
    rows = zip(confusion.class_names, confusion.images, confusion.accuracies, confusion.counts, strict=True)
    for name, images, accuracy, counts in rows:
        writer.writerow([name, images, f"{accuracy:.6f}" if images else "", *counts])
    write_text(file, text.getvalue())


def read_confusion(file: Path) -> Confusion | None:
    """Read such a file; None if there is none, as in the directory of a run by an older version.

    Raises:
        UserError: the file is damaged.
    """
    if not file.exists():
        return None
    try:
        with open(file, encoding="utf-8", newline="") as text:
            rows = list(csv.reader(text))[1:]
        names = tuple(row[0] for row in rows)
        counts = np.array([row[len(_COLUMNS) :] for row in rows]).astype(np.int64)
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise _damaged(file, repr(error)) from error
    if counts.shape != (len(names), len(names)) or counts.min() < 0:
        raise _damaged(file, f"{len(names)} rows of shape {counts.shape[1:]}")
    return Confusion(names, counts)


def _damaged(file: Path, what: str) -> UserError:
    return UserError(
        f"{file}: expected a row of whole numbers for each class and a column for each prediction, got {what}; "
        "remove the file to go on without it"
    )
