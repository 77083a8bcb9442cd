"""A run directory: which files it holds, when they appear, and how an interrupted run is resumed.

    config.json        recipe, data with its sha256, versions and seed; written first
    history.csv        a row for each finished epoch
    checkpoint.npz     the whole state after the last finished epoch; removed when the run is complete
    model.keras        the trained model: of stock Keras layers as far as they exist, see kerasnorm.stock
    model.onnx         the same model for onnxruntime
    parity.json        the parity check of model.onnx
    confusion.csv      accuracy of each class, and how its test images were classified
    confusion.png      the same as a plot
    curves.png         learning curves
    misclassified.png  test images that the model gets wrong
    metrics.json       written last: a run that has it is complete
    tensorboard/       what TensorBoard shows, if it was asked for

A file is written completely or not at all. history.csv is written before checkpoint.npz, so a run that is killed
between the two has one row too many, never one too few: the checkpoint decides, and the row is dropped.

The last row of a run that diverged has a loss that is NaN or infinite, and the checkpoint is that of the epoch before.
Such a run can be resumed with another learning rate.

A process holds the lock of the directory while it works in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kerasnorm
from export.errors import UserError, one_line
from export.files import temporary_files, write_json
from kerasnorm.confusion import CONFUSION
from kerasnorm.data import Dataset
from kerasnorm.history import HISTORY, is_finite, read_history, write_history
from kerasnorm.lock import LOCK, check_unlocked, locked
from kerasnorm.machine import describe_machine
from kerasnorm.recipes import Recipe

CONFIG, CHECKPOINT = "config.json", "checkpoint.npz"
MODEL, METRICS, CURVES, MISCLASSIFIED = "model.keras", "metrics.json", "curves.png", "misclassified.png"
CONFUSION_PLOT = "confusion.png"
ONNX, PARITY = "model.onnx", "parity.json"
TENSORBOARD = "tensorboard"
FILES = (
    *(CONFIG, HISTORY, CHECKPOINT, MODEL, ONNX, PARITY),
    *(CONFUSION, CONFUSION_PLOT, CURVES, MISCLASSIFIED, METRICS),
)

# The keys of config.json. A run can be resumed only with the same settings; the notes are for the reader.
SETTINGS = ("norm", "recipe", "seed", "data")
NOTES = ("versions", "machine", "processor", "cores", "date", "diverged")
DATA = (
    *("name", "source", "sha256", "held_out", "training_images", "test_images", "image_shape", "class_names"),
    *("pixel_mean", "pixel_std"),
)
# The keys of metrics.json that commands show.
SHOWN = (
    *("epochs", "test_accuracy", "best_test_accuracy", "best_epoch", "train_accuracy", "misclassified"),
    "seconds",
)
PACKAGES = ("keras", "tensorflow", "numpy")  # whose versions are noted


def default_path(norm: str, data: str, recipe: Recipe, seed: int, folder: Path = Path("runs")) -> Path:
    """Return the directory of a run if none is given: FOLDER/NORM-DATA-RECIPE-seedSEED.

    Args:
        norm: a key of NORMS.
        data: name of the data set, see `Dataset.name`.
        recipe: the recipe.
        seed: the seed.
        folder: where the run directories are.
    """
    return folder / f"{norm}-{data}-{recipe.name}-seed{seed}"


def describe(norm: str, data: Dataset, recipe: Recipe, seed: int, held_out: int = 0) -> dict[str, Any]:
    """Return the content of config.json: what a run is made of, and where it runs."""
    import keras

    return {
        "norm": norm,
        "seed": seed,
        "recipe": dataclasses.asdict(recipe),
        "data": {
            "name": data.name,
            "source": data.source,
            "sha256": data.sha256,
            "held_out": held_out,
            "training_images": len(data.x_train),
            "test_images": len(data.x_test),
            "image_shape": data.image_shape,
            "class_names": data.class_names,
            "pixel_mean": data.pixel_mean,
            "pixel_std": data.pixel_std,
        },
        "versions": {
            "kerasnorm": kerasnorm.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
            "backend": keras.backend.backend(),
        },
        **describe_machine(),
        "date": str(datetime.now(timezone.utc).date()),
    }


def check_usable(path: Path, settings: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Raise unless a run can be started or resumed in a directory. Nothing is changed.

    Args:
        path: the run directory.
        settings: the content of config.json, or as much of it as is known.
        resume: continue the run in the directory, if there is one.
        overwrite: remove the files of the run in the directory.

    Raises:
        UserError: the directory holds other files or another run, or another process uses it.
    """
    _check(path, settings, resume, overwrite)
    if path.is_dir() and not is_complete(path):
        check_unlocked(path)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Make the run directory if it is missing, hold its lock, and remove what a killed process left half-written.

    Raises:
        UserError: the directory can't be made, or another process uses it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{path}: cannot make the run directory: {error.strerror}; name another with --out"
        ) from error
    with locked(path):
        for file in _leftovers(path):
            file.unlink(missing_ok=True)
        yield


def prepare(path: Path, config: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Write config.json for a new run, or check it for one that is resumed. The directory is `claimed`.

    Args:
        path: the run directory.
        config: the content of config.json; see `describe`.
        resume: continue the run in the directory, if there is one.
        overwrite: remove the files of the run in the directory.

    Raises:
        UserError: as in `check_usable`, or a file can't be written.
    """
    if _check(path, config, resume, overwrite) and resume:
        _accept_learning_rate(path, config)
        return
    clear(path)
    write_json(path / CONFIG, config)


def clear(path: Path) -> None:
    """Remove the files of a run, except config.json, which stays until it is replaced."""
    for name in reversed(FILES[1:]):  # metrics.json, which marks the run as complete, goes first
        (path / name).unlink(missing_ok=True)
    remove_events(path / TENSORBOARD)


def remove_events(folder: Path) -> None:
    """Remove the files of an earlier run from a folder for TensorBoard, and the folders that they leave empty."""
    for file in folder.rglob("events.out.tfevents.*"):
        file.unlink(missing_ok=True)
    for name in ("train", "validation", ""):
        with contextlib.suppress(OSError):  # it is missing, or holds something else
            (folder / name).rmdir()


def is_complete(path: Path) -> bool:
    """Whether the run in a directory is finished."""
    return (path / METRICS).exists()


def tidy(path: Path) -> None:
    """Remove what a process that was killed right after metrics.json has left in the directory of a complete run."""
    if any(file.exists() for file in (path / CHECKPOINT, path / LOCK, *_leftovers(path))):
        with claimed(path):
            (path / CHECKPOINT).unlink(missing_ok=True)


def _leftovers(path: Path) -> list[Path]:
    """The temporary files of the run's files. Whoever holds the lock can be sure that their process is dead."""
    return [file for name in FILES for file in temporary_files(path / name)]


def _check(path: Path, settings: Mapping[str, Any], resume: bool, overwrite: bool) -> bool:
    """Return whether the directory holds a run; raise if it is not the one to resume or to replace."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: expected a directory for the run, got a file; name another with --out")
    # A process that is killed before config.json is there leaves at most these.
    if not path.is_dir() or not set(path.iterdir()) - {path / LOCK, *_leftovers(path)}:
        return False
    if not resume and not overwrite:
        raise UserError(
            f"{path}: expected a new directory, got one with files; give --resume to continue its run, "
            "--overwrite to replace it, or --out to use another directory"
        )
    if not (path / CONFIG).exists():
        raise UserError(
            f"{path}: expected a run directory, got one without {CONFIG}; name another with --out"
        )
    if resume:
        _check_resumable(path, settings)
    return True


def _diverged(path: Path) -> bool:
    rows = read_history(path)
    return bool(rows) and not is_finite(rows[-1])


def _check_resumable(path: Path, settings: Mapping[str, Any]) -> None:
    if not _diverged(path):
        check_same(path, settings)
        return
    old, new = _read_recipe(path), settings["recipe"]
    check_same(path, {**settings, "recipe": {**new, "learning_rate": old["learning_rate"]}})
    if new["learning_rate"] == old["learning_rate"]:
        raise UserError(
            f"{path}: expected another learning rate than {new['learning_rate']:g}, with which the loss became NaN or "
            "infinite; give --resume and a smaller --learning-rate, or --overwrite to start again"
        )


def _accept_learning_rate(path: Path, config: Mapping[str, Any]) -> None:
    """Let a run that diverged go on with the learning rate of `config`; config.json keeps the earlier one, too."""
    if not _diverged(path):
        return
    old, rows = read_json(path / CONFIG), read_history(path)
    earlier = {"epoch": rows[-1]["epoch"], "learning_rate": _read_recipe(path)["learning_rate"]}
    before = old.get("diverged")
    diverged = [*(before if isinstance(before, list) else []), earlier]
    new = {**old, "recipe": config["recipe"], "diverged": diverged}
    # In this order: a run that is killed in between diverges again with the old rate.
    write_history(path, rows[:-1])
    write_json(path / CONFIG, new)


def check_same(
    path: Path,
    config: Mapping[str, Any],
    way_out: str = "give the same settings, or another directory with --out",
) -> None:
    """Check that a directory holds the run that `config` describes.

    Args:
        path: the run directory.
        config: any of `norm`, `recipe`, `seed` and `data`, as in config.json.
        way_out: end of the error message.

    Raises:
        UserError: the directory holds another run.
    """
    old = read_json(path / CONFIG)
    for key in SETTINGS:
        if key not in config:
            continue
        mine, theirs = json.loads(json.dumps(config[key])), old.get(key)
        if key == "data":  # the source of the arrays may differ, but not their values
            mine, theirs = mine["sha256"], theirs.get("sha256") if isinstance(theirs, dict) else theirs
        if key == "recipe":
            theirs = _read_recipe(path)
        if mine != theirs:
            if isinstance(mine, dict) and isinstance(theirs, dict):
                key = next(name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name))
                mine, theirs = mine.get(key), theirs.get(key)
            raise UserError(
                f"{path}: expected a run with {key}={mine}, got one with {key}={one_line(theirs)}; {way_out}"
            )


def _read_recipe(path: Path) -> dict[str, Any]:
    """Read the recipe in config.json."""
    recipe = read_json(path / CONFIG).get("recipe")
    if not isinstance(recipe, dict):
        raise UserError(
            f"{path / CONFIG}: expected the recipe of a run, got {one_line(json.dumps(recipe))}; restore the file, or "
            "give --overwrite to start again"
        )
    # The default of a hyper-parameter that is newer than the run is to have no effect.
    return {field.name: field.default for field in dataclasses.fields(Recipe)} | recipe


def read_metrics(path: Path) -> dict[str, Any]:
    """Read metrics.json of a run directory.

    Raises:
        UserError: the file is missing or damaged, or lacks one of `SHOWN`.
    """
    metrics = read_json(path / METRICS)
    for key in SHOWN:
        if not isinstance(metrics.get(key), (int, float)):
            raise UserError(
                f"{path / METRICS}: expected a number for {key}, got {one_line(json.dumps(metrics.get(key)))}; restore "
                "the file, or train again with --overwrite"
            )
    return metrics


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a run directory.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected a readable JSON file: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value
