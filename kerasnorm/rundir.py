"""A run directory: which files it holds, when they appear, and how a run that was killed goes on.

    config.json        the recipe as used, data with its sha256, versions, seed; written first
    history.csv        a row per finished epoch
    checkpoint.npz     the whole state after the last finished epoch; gone when the run is complete
    model.keras        the trained model: stock Keras layers only
    model.onnx         the same for onnxruntime; parity.json is the proof
    curves.png  misclassified.png
    metrics.json       written last: where it is, the run is complete

Each file appears whole or not at all. history.csv is written before checkpoint.npz, so a run that is
killed between the two has one row too many, never one too few: the checkpoint decides, and the row is
dropped.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.errors import UserError
from export.files import write_json, write_text, write_whole
from kerasnorm.recipes import Recipe

if TYPE_CHECKING:
    import keras

CONFIG, HISTORY, CHECKPOINT = "config.json", "history.csv", "checkpoint.npz"
MODEL, METRICS, CURVES, MISCLASSIFIED = "model.keras", "metrics.json", "curves.png", "misclassified.png"
ONNX, PARITY = "model.onnx", "parity.json"
FILES = (CONFIG, HISTORY, CHECKPOINT, MODEL, ONNX, PARITY, METRICS, CURVES, MISCLASSIFIED)

COLUMNS = (
    *("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"),
    *("cross_entropy", "val_cross_entropy", "seconds"),
)

# What must be the same for a run to be continued; the rest of config.json is for the reader.
_SAME = ("norm", "recipe", "seed", "data")


def prepare(path: Path, config: Mapping[str, Any], *, resume: bool, overwrite: bool) -> bool:
    """Make the run directory ready for a run with `config`.

    Args:
        path: the run directory.
        config: what config.json is to hold.
        resume: go on with the run that is there, if one is.
        overwrite: remove the files of the run that is there.

    Returns:
        Whether the directory holds a complete run that was to be resumed: nothing is left to do.

    Raises:
        UserError: the directory is taken, holds another run or something else, or can't be written.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: expected a directory for the run, got a file; name another with --out")
    taken = path.is_dir() and any(path.iterdir())
    if taken and not resume and not overwrite:
        raise UserError(
            f"{path}: expected a new directory, got one with files; give --resume to go on with its run, "
            "--overwrite to replace it, or --out for another place"
        )
    if taken and not (path / CONFIG).exists():
        raise UserError(
            f"{path}: expected a run directory, got one without {CONFIG}; name another with --out"
        )
    if taken and resume:
        check_same(path, config)
        return (path / METRICS).exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        # The first to go is what marks the old run as complete; config.json stays to be replaced.
        for name in reversed(FILES[1:]):
            (path / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{path}: cannot make the run directory: {error.strerror}; name another with --out"
        ) from error
    write_json(path / CONFIG, config)
    return False


def check_same(
    path: Path, config: Mapping[str, Any], way_out: str = "give the same settings, or --out for another place"
) -> None:
    """Check that the run in a directory is the one of `config`, in as many of norm, recipe, seed and data as it has.

    Raises:
        UserError: it is another run; `way_out` ends the message.
    """
    old = read_json(path / CONFIG)
    for key in _SAME:
        if key not in config:
            continue
        mine, theirs = json.loads(json.dumps(config[key])), old.get(key)
        if key == "data":  # where the arrays lay may differ, but not what they are
            mine, theirs = mine["sha256"], (theirs or {}).get("sha256")
        if key == "recipe" and isinstance(theirs, dict):
            # A hyper-parameter that is newer than the run had no effect then, which is its default.
            theirs = {field.name: field.default for field in dataclasses.fields(Recipe)} | theirs
        if mine != theirs:
            if isinstance(mine, dict) and isinstance(theirs, dict):
                key = next(name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name))
                mine, theirs = mine.get(key), theirs.get(key)
            raise UserError(
                f"{path}: expected a run with {key}={mine}, got one with {key}={theirs}; {way_out}"
            )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of ours.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected a readable JSON file: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write history.csv: one row per epoch, floats in full so that reading gives the same numbers."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: row[key] for key in COLUMNS} for row in rows])
    write_text(path / HISTORY, text.getvalue())


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of history.csv; none if there is no such file.

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


def save_checkpoint(path: Path, model: keras.Model, epochs: int) -> None:
    """Write checkpoint.npz: every variable of the model and its optimizer, and the number of epochs done.

    Keras' own files leave out the states of the random generators within layers, without which dropout
    would draw other masks in a resumed run.
    """
    values = {name: np.asarray(variable) for name, variable in _state(model).items()}
    # By way of memory: an archive that is cut off while it writes to a file complains once more later.
    archive = io.BytesIO()
    np.savez(archive, epochs=epochs, **values)
    write_whole(path / CHECKPOINT, lambda temporary: temporary.write_bytes(archive.getbuffer()))


def load_checkpoint(path: Path, model: keras.Model) -> int:
    """Set the variables of a compiled model and its optimizer from checkpoint.npz.

    Returns:
        The number of epochs done; 0 if there is no checkpoint.

    Raises:
        UserError: the file is damaged or of another model.
    """
    file = path / CHECKPOINT
    if not file.exists():
        return 0
    model.optimizer.build(model.trainable_variables)
    state = _state(model)
    try:
        with np.load(file, allow_pickle=False) as saved:
            values = {name: saved[name] for name in state}
            epochs = int(saved["epochs"])
        for name, variable in state.items():
            variable.assign(values[name])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{file}: expected a checkpoint of this run: {error}; give --overwrite to start anew"
        ) from error
    return epochs


def _state(model: keras.Model) -> dict[str, Any]:
    # By position: Keras numbers the names of optimizers and generators anew within a process.
    variables = [*model.variables, *model.optimizer.variables]
    return {f"variable{index:04d}": variable for index, variable in enumerate(variables)}
