"""What a finished training leaves in its run directory: model, pictures, ONNX model and metrics."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.errors import CheckError
from export.files import write_json, write_whole
from kerasnorm import rundir
from kerasnorm.confusion import CONFUSION, MOST_CLASSES, Confusion, write_confusion
from kerasnorm.data import Dataset
from kerasnorm.history import COLUMNS

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from kerasnorm.callbacks import MisclassifiedImages


def save_results(
    path: Path,
    model: keras.Model,
    data: Dataset,
    history: list[dict[str, float]],
    wrong: MisclassifiedImages,
    *,
    seed: int,
    export: bool = True,
) -> None:
    """Write everything that follows the last epoch; metrics.json is last and marks the run as complete.

    The model is first. A plot that can't be drawn is left out, with a line on stderr.

    Args:
        path: the run directory.
        model: the trained model. It is saved and exported as `stock_model` makes it.
        data: the data that it was trained on.
        history: a row for each epoch, as in history.csv.
        wrong: the misclassified test images.
        seed: the seed of the run, for the title of the plots.
        export: write model.onnx and parity.json too.

    Raises:
        UserError: a file can't be written.
        CheckError: the ONNX model differs from the Keras model; the run is complete except for model.onnx.
    """
    from kerasnorm.stock import stock_model

    guessing = math.log(data.num_classes)
    if history[-1]["cross_entropy"] > 2 * guessing:
        print(
            f"{path}: the training diverged: its cross-entropy is {history[-1]['cross_entropy']:.3g}, that of guessing "
            f"{guessing:.3g}; use a smaller learning rate",
            file=sys.stderr,
        )
    stock = stock_model(model)
    write_whole(path / rundir.MODEL, stock.save)
    if data.num_classes <= MOST_CLASSES:
        write_confusion(path / CONFUSION, Confusion(data.class_names, wrong.confusion))
        _write_plot(path / rundir.CONFUSION_PLOT, lambda: _confusion(model, data, wrong, seed))
    _write_plot(path / rundir.CURVES, lambda: _curves(model, data, history, seed))
    _write_plot(path / rundir.MISCLASSIFIED, lambda: _misclassified(model, data, wrong))
    failure: CheckError | None = None
    if export:
        try:
            _export(stock, data, path)
        except CheckError as error:  # the training itself succeeded: its run is complete, without model.onnx
            failure = error
    write_json(path / rundir.METRICS, metrics(model, history, wrong.count))
    (path / rundir.CHECKPOINT).unlink(missing_ok=True)
    if failure is not None:
        raise failure


def _write_plot(path: Path, draw: Callable[[], Figure]) -> None:
    """Write a plot; if it can't be drawn, say so, because a finished training counts more than its picture."""
    image = io.BytesIO()
    try:
        draw().savefig(image, format="png", dpi=120)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"{path}: not written, because it can't be drawn: {reason}", file=sys.stderr)
        return
    write_whole(path, lambda file: file.write_bytes(image.getbuffer()))


def _curves(model: keras.Model, data: Dataset, history: list[dict[str, float]], seed: int) -> Figure:
    from kerasnorm.plots import plot_curves

    series = {key: [row[key] for row in history] for key in COLUMNS}
    return plot_curves(series, f"{model.name}: {data.name}, {len(history)} epochs, seed {seed}")


def _confusion(model: keras.Model, data: Dataset, wrong: MisclassifiedImages, seed: int) -> Figure:
    from kerasnorm.confusion_plot import plot_confusion

    title = f"{model.name}: {data.name}, {len(data.y_test):,} test images, seed {seed}"
    return plot_confusion(wrong.confusion, data.class_names, title=title)


def _misclassified(model: keras.Model, data: Dataset, wrong: MisclassifiedImages) -> Figure:
    from kerasnorm.image_plots import plot_misclassified

    return plot_misclassified(
        wrong.images,
        wrong.predicted,
        wrong.actual,
        class_names=data.class_names,
        title=f"{model.name}: {len(wrong.indices)} of {wrong.count} misclassified",
    )


def metrics(model: keras.Model, history: list[dict[str, float]], misclassified: int) -> dict[str, Any]:
    """Return the content of metrics.json."""
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


def _export(model: keras.Model, data: Dataset, path: Path) -> None:
    from export.convert import Options
    from export.export import export_model

    export_model(
        model,
        path / rundir.ONNX,
        Options(class_names=data.class_names),
        data=[data.x_test],
        source=f"test images of {data.name}",
        report=path / rundir.PARITY,
    )
