"""history.csv of a run directory: a row of metrics for each finished epoch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from export.errors import UserError
from export.files import write_text

HISTORY = "history.csv"
COLUMNS = (
    *("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"),
    *("cross_entropy", "val_cross_entropy", "seconds"),
)


def write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write history.csv: a row for each epoch, with floats in full, so that they are read back unchanged."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: row[key] for key in COLUMNS} for row in rows])
    write_text(path / HISTORY, text.getvalue())


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the rows of history.csv; none if there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    file = path / HISTORY
    if not file.exists():
        return []
    try:
        with open(file, encoding="utf-8", newline="") as text:
            rows: list[dict[str, float]] = [
                {key: int(row[key]) if key == "epoch" else float(row[key]) for key in COLUMNS}
                for row in csv.DictReader(text)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: expected the columns {', '.join(COLUMNS)}: {error!r}") from error
    return rows


def finished_rows(path: Path, epochs: int) -> list[dict[str, float]]:
    """Read the rows of the first `epochs` epochs, which the checkpoint says are finished.

    Raises:
        UserError: the file is damaged, or lacks rows.
    """
    rows = read_history(path)[:epochs]
    if len(rows) < epochs:
        raise UserError(
            f"{path / HISTORY}: expected a row for each of {epochs} finished epochs, got {len(rows)}; restore it, or "
            "train again with --overwrite"
        )
    return rows


def is_finite(row: Mapping[str, float]) -> bool:
    """Whether the losses of an epoch are finite; if not, the run has diverged."""
    return math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])
