"""checkpoint.npz: the state of a training run after its last finished epoch, and the callback that saves it."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export.errors import CheckError, UserError, reason_of
from export.files import write_whole
from kerasnorm import rundir
from kerasnorm.callbacks import PopulationStatistics
from kerasnorm.history import is_finite, write_history


def save_checkpoint(path: Path, model: keras.Model, epochs: int) -> None:
    """Write checkpoint.npz: every variable of the model and its optimizer, and the number of finished epochs.

    Keras' own files omit the states of the random generators in layers. Without them, dropout would draw other masks
    in a resumed run.
    """
    values: dict[str, Any] = {name: np.asarray(variable) for name, variable in _state(model).items()}
    # Written in memory first: a zip archive that fails while it writes to a file raises again when it is closed.
    archive = io.BytesIO()
    np.savez(archive, epochs=epochs, **values)
    write_whole(path / rundir.CHECKPOINT, lambda temporary: temporary.write_bytes(archive.getbuffer()))


def load_checkpoint(path: Path, model: keras.Model) -> int:
    """Set the variables of a compiled model and its optimizer from checkpoint.npz.

    Returns:
        The number of finished epochs; 0 if there is no checkpoint.

    Raises:
        UserError: the file is damaged or belongs to another model.
    """
    file = path / rundir.CHECKPOINT
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
    except Exception as error:  # NumPy, zipfile, zlib and the backend raise whatever a damaged file provokes
        raise UserError(
            f"{file}: expected a checkpoint of this run: {reason_of(error)}; give --overwrite to start again"
        ) from error
    return epochs


def _state(model: keras.Model) -> dict[str, Any]:
    # By position: the names of optimizers and generators depend on how many Keras has made in this process.
    variables = [*model.variables, *model.optimizer.variables]
    return {f"variable{index:04d}": variable for index, variable in enumerate(variables)}


class ProgressSaver(keras.callbacks.Callback):
    """Save history.csv, then checkpoint.npz, after each epoch.

    A loss that is NaN or infinite ends the training. Its epoch is in history.csv, but the checkpoint is that of the
    epoch before.

    Args:
        path: the run directory.
        history: the rows of the epochs that are already done; each epoch appends its own.
        statistics: the callbacks whose means and variances, made for evaluation, are not to be in the checkpoint.

    Raises:
        CheckError: a loss is NaN or infinite.
    """

    def __init__(
        self, path: Path, history: list[dict[str, float]], statistics: Sequence[PopulationStatistics] = ()
    ) -> None:
        super().__init__()
        self.path, self.history, self.statistics = path, history, statistics

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save the epoch."""
        seconds = round(time.perf_counter() - self.start, 3)
        values = {key: float(value) for key, value in (logs or {}).items()}
        values.setdefault("learning_rate", float(self.model.optimizer.learning_rate))
        self.history.append({**values, "epoch": epoch + 1, "seconds": seconds})
        write_history(self.path, self.history)
        if not is_finite(self.history[-1]):
            raise CheckError(
                f"{self.path}: expected a finite loss, got {values['loss']:g} in training and {values['val_loss']:g} "
                f"in the test of epoch {epoch + 1}; to continue after epoch {epoch}, give --resume and a "
                f"--learning-rate below {values['learning_rate']:g}"
            )
        with contextlib.ExitStack() as stack:
            for callback in self.statistics:
                stack.enter_context(callback.averages_of_training())
            save_checkpoint(self.path, self.model, epoch + 1)
