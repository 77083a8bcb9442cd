"""train: one run from data to a run directory; `python -m kerasnorm.train` is its command line."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import kerasnorm
from export.command import Parser, import_tensorflow_quietly, run
from export.errors import CheckError, UserError
from export.files import write_json, write_whole
from kerasnorm import rundir
from kerasnorm.data import NAMES, Dataset, hold_out, load_data
from kerasnorm.recipes import CHOICES, NORMS, RECIPES, Recipe, get_recipe

if TYPE_CHECKING:
    import keras

MISCLASSIFIED_SHOWN = 25


def train(
    norm: str,
    data: str = "auto",
    recipe: str | Recipe = "documented",
    *,
    seed: int = 0,
    held_out: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    export: bool = True,
    verbose: int | None = None,
) -> Path:
    """Train, evaluate, draw and save one model; see `kerasnorm.rundir` for the files.

    The same arguments on the same machine give the same weights, bit for bit, also when the run was
    killed and resumed. For that, the process is seeded and TensorFlow's op determinism is switched on.

    Args:
        norm: 'bn', 'ln' or 'gn'.
        data: what `load_data` takes.
        recipe: a name of RECIPES, or a Recipe.
        seed: start of all random numbers, 0 to 2**31 - 1.
        held_out: the last `held_out` training images take the test images' place, to choose a recipe by; 0: none.
        out: the run directory; None: runs/NORM-DATA-RECIPE-seedSEED.
        resume: go on with the run in that directory, if there is one.
        overwrite: replace the run in that directory.
        export: write the ONNX model too, and its proof.
        verbose: Keras' `verbose` of `fit`; None: a progress bar on a terminal, else a line per epoch.

    Returns:
        The run directory.

    Raises:
        UserError: an argument, the data or the directory can't be used.
        CheckError: the ONNX model differs from the Keras model; the run is complete but for it.
        KeyboardInterrupt: after Ctrl-C; the message says how to go on.
    """
    recipe = get_recipe(recipe).for_norm(norm)
    if not 0 <= seed < 2**31:
        raise UserError(f"seed: expected 0 to {2**31 - 1}, got {seed}")
    dataset = load_data(data)
    if held_out:
        dataset = hold_out(dataset, held_out)
    if recipe.batch_size > len(dataset.x_train):
        raise UserError(
            f"batch_size: expected at most {len(dataset.x_train)}, the number of training images, "
            f"got {recipe.batch_size}"
        )
    import keras

    from kerasnorm.speed import set_threads

    if recipe.ema and keras.backend.backend() == "jax":
        # Keras' SwapEMAWeights leaves weights there whose memory JAX has given away.
        raise UserError(
            "ema: expected Keras' TensorFlow backend for averaged weights, got jax; leave them out with --ema 0"
        )
    parts = set_threads()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    model = _build(norm, dataset, recipe, parts)  # before the directory: it refuses what can't be built

    path = Path(out) if out is not None else Path("runs") / f"{norm}-{dataset.name}-{recipe.name}-seed{seed}"
    complete = rundir.prepare(path, _config(norm, dataset, recipe, seed), resume=resume, overwrite=overwrite)
    if complete:
        print(f"{path}: the run is complete already")
        return path
    try:
        with _interrupts() as interrupted:
            _fit_and_save(model, dataset, recipe, seed, path, verbose, export, interrupted)
    except KeyboardInterrupt:
        done = len(rundir.read_history(path))
        raise KeyboardInterrupt(
            f"interrupted after {done} of {recipe.epochs} epochs; the same command with --resume goes on ({path})"
        ) from None
    return path


def _build(norm: str, dataset: Dataset, recipe: Recipe, parts: int) -> keras.Model:
    import keras

    from kerasnorm.augment import steps_per_epoch
    from kerasnorm.models import build_cnn
    from kerasnorm.speed import speed_up, steps_per_execution

    model = build_cnn(
        norm,
        dataset.image_shape,
        dataset.num_classes,
        recipe.filters,
        recipe.blocks,
        recipe.dropout,
        recipe.groups,
        recipe.l1 or 0.0,
        recipe.l2 or 0.0,
        penalize=recipe.penalize,
        pixel_mean=dataset.pixel_mean,
        pixel_std=dataset.pixel_std,
    )
    steps = steps_per_epoch(len(dataset.x_train), recipe.batch_size)
    loss: Any = "sparse_categorical_crossentropy"
    cross_entropy = keras.metrics.SparseCategoricalCrossentropy
    if recipe.label_smoothing:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
        cross_entropy = keras.metrics.CategoricalCrossentropy
    model.compile(
        optimizer=recipe.optimizer(steps),
        loss=loss,
        # Keras' loss has the penalties in it, for test images too; cross_entropy is the loss without.
        metrics=["accuracy", cross_entropy(name="cross_entropy")],
        steps_per_execution=steps_per_execution(steps),
    )
    return speed_up(model, parts)


def _fit_and_save(
    model: keras.Model,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    path: Path,
    verbose: int | None,
    export: bool,
    interrupted: threading.Event,
) -> None:
    import keras

    from kerasnorm.augment import steps_per_epoch, training_batches
    from kerasnorm.callbacks import MisclassifiedImages
    from kerasnorm.image_plots import plot_misclassified
    from kerasnorm.plots import plot_curves
    from kerasnorm.speed import restore

    steps = steps_per_epoch(len(dataset.x_train), recipe.batch_size)
    done = rundir.load_checkpoint(path, model)
    history = rundir.read_history(path)[:done]
    if verbose is None:
        verbose = 1 if sys.stdout.isatty() else 2
    if done < recipe.epochs:
        labels = [dataset.y_train, dataset.y_test]
        if recipe.label_smoothing:
            labels = [keras.utils.to_categorical(y, dataset.num_classes) for y in labels]
        batches = training_batches(
            dataset.x_train,
            labels[0],
            recipe.batch_size,
            epochs=recipe.epochs,
            initial_epoch=done,
            seed=seed,
            **recipe.augmentation(),
        )
        model.fit(
            batches,
            epochs=recipe.epochs,
            initial_epoch=done,
            steps_per_epoch=steps,
            validation_data=(dataset.x_test, labels[1]),
            validation_batch_size=min(512, len(dataset.x_test)),
            callbacks=[*recipe.callbacks(dataset.x_train), _progress_saver(path, history, interrupted)],
            shuffle=False,  # the batches come shuffled
            verbose=verbose,
        )
    elif recipe.ema:  # killed after its last epoch: the averaged weights are still beside the model
        model.optimizer.finalize_variable_values(model.trainable_variables)
    wrong = MisclassifiedImages(dataset.x_test, dataset.y_test, limit=MISCLASSIFIED_SHOWN)
    wrong.collect(model)
    restore(model)  # what is saved and exported is the stock model

    title = f"{model.name}: {dataset.name}, {recipe.epochs} epochs, seed {seed}"
    series = {key: [row[key] for row in history] for key in rundir.COLUMNS}
    curves = plot_curves(series, title)
    canvas = plot_misclassified(
        wrong.images,
        wrong.predicted,
        wrong.actual,
        class_names=dataset.class_names,
        title=f"{model.name}: {min(wrong.count, MISCLASSIFIED_SHOWN)} of {wrong.count} misclassified",
    )
    write_whole(path / rundir.MODEL, model.save)
    write_whole(path / rundir.CURVES, lambda file: curves.savefig(file, dpi=120))
    write_whole(path / rundir.MISCLASSIFIED, lambda file: canvas.savefig(file, dpi=120))
    failure: CheckError | None = None
    if export:
        try:
            _export(model, dataset, path)
        except CheckError as error:  # the training was good: its run is complete, without model.onnx
            failure = error
    write_json(path / rundir.METRICS, _metrics(model, history, wrong.count))
    (path / rundir.CHECKPOINT).unlink(missing_ok=True)
    if failure is not None:
        raise failure


def _export(model: keras.Model, dataset: Dataset, path: Path) -> None:
    from export.convert import Options
    from export.export import export_model

    export_model(
        model,
        path / rundir.ONNX,
        Options(class_names=dataset.class_names),
        data=[dataset.x_test],
        source=f"test images of {dataset.name}",
        report=path / rundir.PARITY,
    )


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that tells whether Ctrl-C was pressed.

    Its KeyboardInterrupt can be raised within a function that C++ code calls back, and is lost there but for
    a complaint on stderr, which is held back here.
    """
    pressed = threading.Event()
    # Signals reach the main thread only; a shell's background job is told to ignore those of the keyboard.
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):
        yield pressed
        return

    def handle(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.default_int_handler(number, frame)

    def complain(lost: sys.UnraisableHookArgs) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            hook(lost)

    before, hook = signal.signal(signal.SIGINT, handle), sys.unraisablehook
    sys.unraisablehook = complain
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = hook


def _progress_saver(
    path: Path, history: list[dict[str, float]], interrupted: threading.Event
) -> keras.callbacks.Callback:
    """A callback that adds each epoch to `history` and saves history.csv, then checkpoint.npz."""
    import keras

    class ProgressSaver(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            seconds = round(time.perf_counter() - self.start, 3)
            values = {key: float(value) for key, value in (logs or {}).items()}
            values.setdefault("learning_rate", float(self.model.optimizer.learning_rate))
            history.append({**values, "epoch": epoch + 1, "seconds": seconds})
            rundir.write_history(path, history)
            rundir.save_checkpoint(path, self.model, epoch + 1)
            if interrupted.is_set():
                raise KeyboardInterrupt

    return ProgressSaver()


def _config(norm: str, dataset: Dataset, recipe: Recipe, seed: int) -> dict[str, Any]:
    import keras

    packages = ("keras", "tensorflow", "numpy")
    return {
        "norm": norm,
        "seed": seed,
        "recipe": dataclasses.asdict(recipe),
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "sha256": dataset.sha256,
            "training_images": len(dataset.x_train),
            "test_images": len(dataset.x_test),
            "image_shape": dataset.image_shape,
            "class_names": dataset.class_names,
            "pixel_mean": dataset.pixel_mean,
            "pixel_std": dataset.pixel_std,
        },
        "versions": {
            "kerasnorm": kerasnorm.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
            "backend": keras.backend.backend(),
        },
        "machine": platform.platform(),
    }


def _metrics(model: keras.Model, history: list[dict[str, float]], misclassified: int) -> dict[str, Any]:
    last = history[-1]
    best = max(history, key=lambda row: row["val_accuracy"])
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    return {
        "epochs": len(history),
        "test_accuracy": round(last["val_accuracy"], 6),
        "test_cross_entropy": last["val_cross_entropy"],
        "train_accuracy": round(last["accuracy"], 6),
        "train_cross_entropy": last["cross_entropy"],
        "best_test_accuracy": round(best["val_accuracy"], 6),
        "best_epoch": int(best["epoch"]),
        "misclassified": misclassified,
        "trainable_parameters": trainable,
        "non_trainable_parameters": model.count_params() - trainable,
        "seconds": round(sum(row["seconds"] for row in history), 1),
    }


def parser() -> argparse.ArgumentParser:
    """The command line; its defaults are the recipe's own."""
    parser = Parser(
        prog="kerasnorm-train",
        description="Train the study's CNN with one normalization; leaves a run directory with the model, "
        "its history, pictures and metrics.",
    )
    parser.add_argument("--norm", required=True, choices=NORMS, help="normalization: Batch, Layer or Group")
    parser.add_argument(
        "--data",
        default="auto",
        metavar="NAME|FILE.npz",
        help=f"{', '.join(NAMES)}, or a .npz file of x_train, y_train, x_test, y_test (default: auto, MNIST "
        "where it can be had, else scikit-learn's digits); $KERASNORM_DATA is a folder to look in first",
    )
    add_recipe_name(parser)
    parser.add_argument("--seed", type=int, default=0, help="start of all random numbers (default: 0)")
    parser.add_argument("--out", metavar="DIR", help="default: runs/NORM-DATA-RECIPE-seedSEED")
    parser.add_argument("--resume", action="store_true", help="go on with the run in that directory")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in that directory")
    parser.add_argument(
        "--no-export", dest="export", action="store_false", help="leave model.onnx and parity.json out"
    )
    add_recipe_arguments(parser)
    return parser


def add_recipe_name(parser: argparse.ArgumentParser) -> None:
    """The options that say which recipe is trained, and on which images it is tested."""
    parser.add_argument("--recipe", default="documented", choices=RECIPES, help="default: documented")
    parser.add_argument(
        "--held-out",
        type=int,
        default=0,
        metavar="N",
        help="test on the last N training images, which are not trained on: to choose a recipe by (default: 0)",
    )


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """An option for each field of Recipe; one that is not given leaves the recipe's own value."""
    group = parser.add_argument_group("hyper-parameters (each replaces the recipe's value)")
    kinds = {"int": int, "float": float, "int | None": int, "float | None": float}
    for field in dataclasses.fields(Recipe):
        if field.name == "name":
            continue
        values = {name: getattr(recipe, field.name) for name, recipe in RECIPES.items()}
        shown = {name: "none" if value is None else value for name, value in values.items()}
        default = str(shown["documented"])
        if len(set(shown.values())) > 1:
            default = ", ".join(f"{name}: {value}" for name, value in shown.items())
        options: dict[str, Any] = {
            "default": argparse.SUPPRESS,
            "help": f"{field.metadata['help']} ({default})",
        }
        if field.type == "bool":
            options["action"] = argparse.BooleanOptionalAction
        elif field.name in CHOICES:
            options["choices"] = CHOICES[field.name]
        else:
            options["type"] = kinds[str(field.type)]
            options["metavar"] = "N" if "int" in str(field.type) else "X"
        group.add_argument("--" + field.name.replace("_", "-"), **options)


def recipe_from(arguments: argparse.Namespace) -> Recipe:
    """The recipe that `--recipe` names, with the fields that were given on the command line."""
    given = {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(Recipe)
        if field.name != "name" and hasattr(arguments, field.name)
    }
    return dataclasses.replace(RECIPES[arguments.recipe], **given)


def recipe_arguments(arguments: argparse.Namespace) -> list[str]:
    """The words that give `kerasnorm.train` the same hyper-parameters as were given here."""
    words = []
    for field in dataclasses.fields(Recipe):
        if field.name != "name" and hasattr(arguments, field.name):
            value, option = getattr(arguments, field.name), field.name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{option}" if value else f"--no-{option}")
            else:
                words += [f"--{option}", str(value)]
    return words


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, train, print what came of it."""
    arguments = parser().parse_args(argv)
    if arguments.resume and arguments.overwrite:
        raise UserError("expected one of --resume and --overwrite, got both")
    recipe = recipe_from(arguments)
    import_tensorflow_quietly()
    path = train(
        arguments.norm,
        arguments.data,
        recipe,
        seed=arguments.seed,
        held_out=arguments.held_out,
        out=arguments.out,
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        export=arguments.export,
    )
    metrics = rundir.read_json(path / rundir.METRICS)
    print(
        f"{path}: test accuracy {100 * metrics['test_accuracy']:.2f} % at the last of {metrics['epochs']} epochs "
        f"(best {100 * metrics['best_test_accuracy']:.2f} % at epoch {metrics['best_epoch']}), "
        f"{metrics['misclassified']} misclassified, {metrics['seconds']:.0f} s"
    )
    return 0


def cli() -> int:
    """Entry point of the console script."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
