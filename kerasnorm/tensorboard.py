"""What a run writes for TensorBoard: Keras' own callback, and pictures of the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export.errors import UserError, reason_of
from kerasnorm import rundir
from kerasnorm.data import Dataset
from kerasnorm.recipes import Recipe

AUGMENTED = 16  # training images that are shown


class RunTensorBoard(keras.callbacks.TensorBoard):
    """Keras' TensorBoard, which writes metrics, learning rate, histograms of the weights and the graph.

    It writes after each epoch, so that a killed training has what its finished epochs have.

    Args:
        folder: where to write; made if it is missing.

    Raises:
        UserError: the folder can't be written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, histogram_freq=1)
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(folder, error.strerror or str(error)) from error

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the epoch."""
        import tensorflow as tf

        try:
            super().on_epoch_end(epoch, logs)
            for writer in self._writers.values():
                writer.flush()
        except tf.errors.OpError as error:
            raise _cannot_write(self._folder, reason_of(error)) from error


def write_pictures(folder: Path, run: Path, recipe: Recipe, data: Dataset, seed: int) -> None:
    """Write some augmented training images, and the pictures of a run directory.

    Args:
        folder: the folder of the callback.
        run: the run directory.
        recipe: the recipe of the run.
        data: its data.
        seed: its seed.

    Raises:
        UserError: the folder can't be written.
    """
    import tensorflow as tf

    images, _ = next(iter(recipe.training_batches(data, seed)))
    pictures = {"augmented training images": np.asarray(images[:AUGMENTED]).clip(0, 255).astype(np.uint8)}
    for name in (rundir.CURVES, rundir.CONFUSION_PLOT, rundir.MISCLASSIFIED):
        if (run / name).exists():  # it is left out if it could not be drawn
            png = tf.io.decode_png((run / name).read_bytes(), channels=3)
            pictures[Path(name).stem] = png.numpy()[None]
    try:
        writer = tf.summary.create_file_writer(str(folder / "train"))
        with writer.as_default(recipe.epochs):
            for name, picture in pictures.items():
                tf.summary.image(name, picture, max_outputs=AUGMENTED)
        writer.close()
    except tf.errors.OpError as error:
        raise _cannot_write(folder, reason_of(error)) from error


def _cannot_write(folder: Path, reason: str) -> UserError:
    return UserError(
        f"cannot write {folder}: {reason}; name another folder with --tensorboard, or leave it out"
    )
