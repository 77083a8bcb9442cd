"""The report of a study: its tables, plots and confusion matrices as files, and on one HTML page."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.errors import UserError
from export.files import write_text, write_whole
from kerasnorm import rundir
from kerasnorm.confusion import Confusion, add, read_confusion, write_confusion
from kerasnorm.history import read_history
from kerasnorm.study.facts import facts
from kerasnorm.study.page import Page, Picture
from kerasnorm.study.plan import Run
from kerasnorm.study.summary import summary
from kerasnorm.study.tables import (
    Column,
    Table,
    accuracies,
    differences_table,
    label,
    results_table,
    table_csv,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The overlaid plots: column of history.csv, file, label of the axis, factor.
CURVES = (
    ("val_accuracy", "test-accuracy.png", "test accuracy, %", 100.0),
    ("val_cross_entropy", "test-loss.png", "test cross-entropy", 1.0),
    ("accuracy", "train-accuracy.png", "train accuracy, %", 100.0),
    ("cross_entropy", "train-loss.png", "train cross-entropy", 1.0),
)
DPI = 144

# A table with more classes shows the most difficult ones.
MOST_CLASSES_SHOWN = 20


def write_study(
    runs: Sequence[Run],
    norms: Sequence[str],
    title: str,
    out: Path,
    command: str | None = None,
    baseline: str | None = None,
) -> None:
    """Write table.md, runs.csv, plots, confusion matrices, misclassified images and report.html.

    Args:
        runs: complete runs, the same seeds of each norm.
        norms: the norms, in the order in which they are shown.
        title: title of the report.
        out: the folder of the files; it is made if it is missing.
        command: the command that reproduces the study.
        baseline: the norm that the others are compared with; None: every pair is compared.

    Raises:
        UserError: the folder or a file can't be written, or a file of a run is damaged.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: cannot make the directory: {error.strerror}; name another with --out"
        ) from error
    found = summary(runs, norms, baseline)
    results, differences = results_table(runs, norms), differences_table(runs, norms, baseline)
    parts = ["\n".join(found), results.markdown(), *([differences.markdown()] if differences.rows else [])]
    write_text(out / "table.md", "\n\n".join(parts) + "\n")
    write_text(out / "runs.csv", table_csv(runs))
    seeds = sorted({run.seed for run in runs})
    confusions = _confusions(runs, norms)
    page = Page(
        title=title,
        summary=found,
        seeds=len(seeds),
        results=results,
        dots=_dots(runs, norms, out) if len(runs) > 1 else None,
        differences=differences,
        classes=_class_table(confusions),
        class_count=max((len(matrix.counts) for matrix in confusions.values()), default=0),
        confusions=[_confusion(norm, matrix, seeds, out) for norm, matrix in confusions.items()],
        without_confusion=[norm for norm in norms if norm not in confusions],
        curves=_curves(runs, norms, seeds, out),
        misclassified=_misclassified(runs, norms, out),
        command=command,
        facts=facts(runs, datetime.now(timezone.utc).date()),
    )
    write_text(out / "report.html", page.html())


def _save(figure: Figure, file: Path) -> None:
    write_whole(file, partial(figure.savefig, dpi=DPI))


def _dots(runs: Sequence[Run], norms: Sequence[str], out: Path) -> Picture:
    from kerasnorm.result_plots import plot_runs

    figure = plot_runs({norm: accuracies(runs, norm) for norm in norms}, "test accuracy, %")
    _save(figure, out / "accuracy.png")
    caption = "Test accuracy after the last epoch: a dot for each seed, a line at the mean of each norm."
    if figure.axes[0].texts:
        caption += " Values beside an arrow are too low for the axis."
    return Picture(out / "accuracy.png", caption)


def _curves(runs: Sequence[Run], norms: Sequence[str], seeds: Sequence[int], out: Path) -> list[Picture]:
    from kerasnorm.plots import plot_overlaid

    histories = {norm: [read_history(run.path) for run in runs if run.norm == norm] for norm in norms}
    pictures = []
    for column, file, axis, factor in CURVES:
        values = {
            norm: [[factor * row[column] for row in history] for history in of_norm]
            for norm, of_norm in histories.items()
        }
        figure = plot_overlaid(values, axis)
        _save(figure, out / file)
        (axes,) = figure.axes
        bottom = axes.get_ylim()[0]
        caption = f"{axis.removesuffix(', %').capitalize()} by epoch"
        if len(seeds) > 1:
            caption += f": mean of {len(seeds)} seeds, and a band from the smallest to the largest value"
        if axes.get_yscale() == "log":
            caption += ", on a logarithmic axis"
        if bottom > min(min(run) for of_norm in values.values() for run in of_norm):
            caption += f". The axis starts at {bottom:.1f} %; some values are below it"
        pictures.append(Picture(out / file, f"{caption}."))
    return pictures


def _confusions(runs: Sequence[Run], norms: Sequence[str]) -> dict[str, Confusion]:
    """The confusion matrix of each norm, summed over its runs; a norm with a run that has none is left out."""
    found = {}
    for norm in norms:
        matrices = [read_confusion(run.path / rundir.CONFUSION) for run in runs if run.norm == norm]
        total = add([matrix for matrix in matrices if matrix is not None])
        if total is not None and None not in matrices:
            found[norm] = total
    return found


def _confusion(norm: str, matrix: Confusion, seeds: Sequence[int], out: Path) -> Picture:
    from kerasnorm.confusion_plot import plot_confusion

    write_confusion(out / f"confusion-{norm}.csv", matrix)
    file = out / f"confusion-{norm}.png"
    _save(plot_confusion(matrix.counts, matrix.class_names), file)
    return Picture(file, label(norm) + (f", sum over {len(seeds)} seeds" if len(seeds) > 1 else ""))


def _class_table(confusions: dict[str, Confusion]) -> Table | None:
    """The accuracy of each class by norm; of many classes, those with the lowest."""
    names = {matrix.class_names for matrix in confusions.values()}
    if len(names) != 1:
        return None
    images = next(iter(confusions.values())).images
    shares = np.stack([100 * matrix.accuracies for matrix in confusions.values()])  # (norms, classes)
    present = np.flatnonzero(images)
    shown = np.arange(len(images))
    if len(shown) > MOST_CLASSES_SHOWN:
        shown = present[np.argsort(shares[:, present].mean(axis=0), kind="stable")][:MOST_CLASSES_SHOWN]
    columns = (Column("class", number=False), *(Column(f"{norm}, %") for norm in confusions))
    (class_names,) = names
    rows = [
        (class_names[index], *("" if np.isnan(share) else f"{share:.2f}" for share in shares[:, index]))
        for index in shown
    ]
    return Table(columns, tuple(rows))


def _misclassified(runs: Sequence[Run], norms: Sequence[str], out: Path) -> list[Picture]:
    """The misclassified images of each norm's first run; a run is complete without them if they couldn't be drawn."""
    pictures = []
    for norm in norms:
        first = next(run for run in runs if run.norm == norm)
        source, file = first.path / rundir.MISCLASSIFIED, out / f"misclassified-{norm}.png"
        if source.exists():
            write_whole(file, partial(shutil.copyfile, source))
            pictures.append(Picture(file, f"{label(norm)}, seed {first.seed}"))
    return pictures
