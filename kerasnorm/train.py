"""train: one run, from the data to a run directory. `python -m kerasnorm.train` is `kerasnorm.cli.train`."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from export.errors import UserError
from kerasnorm import rundir
from kerasnorm.data import NAMES, Dataset, hold_out, load_data
from kerasnorm.history import finished_rows, read_history
from kerasnorm.norms import check_groups
from kerasnorm.recipes import Recipe, get_recipe

if TYPE_CHECKING:
    import keras

MISCLASSIFIED_SHOWN = 25


def train(
    norm: str,
    data: str | os.PathLike[str] = "auto",
    recipe: str | Recipe = "documented",
    *,
    seed: int = 0,
    held_out: int = 0,
    sha256: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    export: bool = True,
    tensorboard: bool | str | Path = False,
    cores: int | None = None,
    verbose: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Path:
    """Train, evaluate, draw and save one model; see `kerasnorm.rundir` for the files.

    The same arguments on the same machine give the same weights, bit for bit, even if the run is killed and resumed.
    On more cores, dropout draws other masks: see `set_threads`.
    For this, `train` seeds the process and turns on TensorFlow's op determinism.

    Args:
        norm: a key of `kerasnorm.norms.NORMS`, such as 'bn', 'ln' or 'gn'.
        data: a name or a file, as for `load_data`.
        recipe: a name in RECIPES, or a Recipe.
        seed: seed of all random numbers, 0 to 2**31 - 1.
        held_out: test on the last `held_out` training images instead of the test images, to choose a recipe; 0: none.
        sha256: the SHA-256 that the data must have, as in the config.json of a run; None: any.
        out: the run directory; None: runs/NORM-DATA-RECIPE-seedSEED.
        resume: continue the run in the directory, if there is one.
        overwrite: replace the run in the directory.
        export: write the ONNX model and its parity report too.
        tensorboard: write curves, weights and pictures for TensorBoard, to OUT/tensorboard; or a folder, for
            FOLDER/NAME-OF-OUT.
        cores: number of CPU cores to use; None: all that this process may use.
        verbose: None: the progress and the time left, see `kerasnorm.Progress`; otherwise `verbose` of Keras' `fit`: 0:
            nothing, 1: a bar for each epoch, 2: a line for each epoch.
        callbacks: callbacks for `fit`, called after the epoch is saved.

    Returns:
        The run directory.

    Raises:
        UserError: an argument, the data or the directory can't be used, or another process trains in the directory.
        CheckError: the loss became NaN or infinite, and `resume` continues with another learning rate; or the ONNX
            model differs from the Keras model, and the run is complete except for model.onnx.
        KeyboardInterrupt: the run was interrupted; the message says how to continue it.
    """
    data = os.fspath(data)
    recipe = check_arguments(
        norm,
        data,
        recipe,
        seed=seed,
        held_out=held_out,
        out=out,
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
    )
    dataset = load_data(data)
    if held_out:
        dataset = hold_out(dataset, held_out)
    if sha256 is not None and dataset.sha256 != sha256:
        raise UserError(
            f"data: expected the SHA-256 {sha256}, got {dataset.sha256} of {dataset.source}; name the same data with "
            "--data"
        )
    if recipe.batch_size > len(dataset.x_train):
        raise UserError(
            f"batch_size: expected at most {len(dataset.x_train)}, the number of training images, "
            f"got {recipe.batch_size}"
        )
    from kerasnorm.speed import set_threads, speed_up

    _check_backend(recipe)
    parts = set_threads(cores)
    _make_deterministic(seed)
    # Built before the directory is touched: it raises if there is no such network.
    model = speed_up(recipe.build_model(norm, dataset), parts)

    path = Path(out) if out is not None else rundir.default_path(norm, dataset.name, recipe, seed)
    config = rundir.describe(norm, dataset, recipe, seed, held_out)
    rundir.check_usable(path, config, resume=resume, overwrite=overwrite)
    if resume and rundir.is_complete(path):
        rundir.tidy(path)
        print(f"{path}: the run is complete already")
        return path
    with rundir.claimed(path):
        rundir.prepare(path, config, resume=resume, overwrite=overwrite)
        board = None
        if tensorboard:
            board = path / rundir.TENSORBOARD if tensorboard is True else Path(tensorboard) / path.name
            if overwrite:
                rundir.remove_events(board)
        try:
            _fit_and_save(model, dataset, recipe, seed, path, verbose, export, board, callbacks)
        except KeyboardInterrupt:
            done = len(read_history(path))
            raise KeyboardInterrupt(
                f"interrupted after {done} of {recipe.epochs} epochs; to continue, run the same command with "
                f"--resume ({path})"
            ) from None
    return path


def check_arguments(
    norm: str,
    data: str | os.PathLike[str] = "auto",
    recipe: str | Recipe = "documented",
    *,
    seed: int = 0,
    held_out: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool | str | Path = False,
) -> Recipe:
    """Check the arguments of `train` as far as this needs neither the data nor TensorFlow.

    Returns:
        The recipe, with the normalization's own penalties.

    Raises:
        UserError: an argument or the run directory can't be used.
    """
    data = os.fspath(data)
    if resume and overwrite:
        raise UserError("expected one of --resume and --overwrite, got both")
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise UserError(
            "tensorboard: expected the package tensorboard, which Keras writes with, found none; install it with "
            "pip install tensorboard, or leave --tensorboard out"
        )
    recipe = get_recipe(recipe).for_norm(norm)
    check_groups(norm, recipe.groups, recipe.filters)
    if recipe.groups == recipe.filters:
        raise UserError(
            f"groups: expected fewer than filters={recipe.filters}, got {recipe.groups}; a group of one channel has "
            "the mean beta, and the global average pooling after the last block would make all images the same: use "
            "--norm in, which leaves the last normalization out"
        )
    if not 0 <= seed < 2**31:
        raise UserError(f"seed: expected 0 to {2**31 - 1}, got {seed}")
    if held_out < 0:
        raise UserError(f"held_out: expected 0 or more images, got {held_out}")
    if data not in NAMES and not (data.endswith(".npz") and Path(data).is_file()):
        load_data(data)  # it raises, and says what is wrong
    if out is not None or data != "auto":
        name = Path(data).stem + (f"-held-out-{held_out}" if held_out else "")
        path = Path(out) if out is not None else rundir.default_path(norm, name, recipe, seed)
        settings = {"norm": norm, "recipe": dataclasses.asdict(recipe), "seed": seed}
        rundir.check_usable(path, settings, resume=resume, overwrite=overwrite)
    return recipe


def _check_backend(recipe: Recipe) -> None:
    import keras

    if recipe.ema and keras.backend.backend() == "jax":
        # Keras' SwapEMAWeights leaves weights whose memory JAX has donated.
        raise UserError(
            "ema: expected Keras' TensorFlow backend for averaged weights, got jax; leave them out with --ema 0"
        )


def _make_deterministic(seed: int) -> None:
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _fit_and_save(
    model: keras.Model,
    data: Dataset,
    recipe: Recipe,
    seed: int,
    path: Path,
    verbose: int | None,
    export: bool,
    board: Path | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    from kerasnorm.callbacks import MisclassifiedImages, PopulationStatistics, Progress
    from kerasnorm.checkpoint import ProgressSaver, load_checkpoint
    from kerasnorm.results import save_results
    from kerasnorm.speed import restore
    from kerasnorm.tensorboard import RunTensorBoard, write_pictures

    done = load_checkpoint(path, model)
    history = finished_rows(path, done)
    own = recipe.callbacks(data.x_train)
    statistics = [callback for callback in (*own, *callbacks) if isinstance(callback, PopulationStatistics)]
    progress = Progress(("accuracy", "val_accuracy", "loss"))
    shown = [progress] if verbose is None else []
    if done < recipe.epochs:
        if board is not None:  # before the epoch is saved, so that a killed run lacks no epoch
            own.append(RunTensorBoard(board))
        with contextlib.closing(progress):
            model.fit(
                recipe.training_batches(data, seed, done),
                epochs=recipe.epochs,
                initial_epoch=done,
                steps_per_epoch=recipe.steps_per_epoch(data),
                validation_data=recipe.test_data(data),
                validation_batch_size=min(512, len(data.x_test)),
                callbacks=[*own, ProgressSaver(path, history, statistics), *shown, *callbacks],
                shuffle=False,  # the batches are shuffled already
                verbose=verbose or 0,
            )
    else:  # killed after the last epoch: what `fit` does at its end is still to be done
        model.optimizer.finalize_variable_values(model.trainable_variables)
        for callback in own:
            callback.set_model(model)
            callback.on_train_end()
    wrong = MisclassifiedImages(data.x_test, data.y_test, limit=MISCLASSIFIED_SHOWN)
    wrong.collect(model)
    restore(model)  # Keras' own code is saved and exported
    save_results(path, model, data, history, wrong, seed=seed, export=export)
    if board is not None:
        write_pictures(board, path, recipe, data, seed)


if __name__ == "__main__":
    from kerasnorm.cli.train import cli

    sys.exit(cli())
