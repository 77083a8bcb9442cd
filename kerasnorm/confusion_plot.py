"""A plot of a confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba
from matplotlib.figure import Figure

from export.errors import UserError
from kerasnorm.plot_text import drawable, set_literal, shorten, wrap

RIGHT, RIGHT_WITHOUT_NUMBER = "#D3E5F3", "#56B4E9"
# The light part of a colour map, on which black numbers can be read.
ERRORS = LinearSegmentedColormap.from_list(
    "errors", ["#FFFFFF", *matplotlib.colormaps["Oranges"](np.linspace(0.12, 0.7, 16))]
)
_POINTS = 72  # in an inch


def plot_confusion(
    counts: np.ndarray | Sequence[Sequence[int]],
    class_names: Sequence[str] | None = None,
    *,
    title: str = "",
) -> Figure:
    """Plot a confusion matrix: a row for each class, a column for each predicted class.

    The colour of an error is its share of the images of its class, and zeros are faint. The diagonal, which is much
    larger, has a colour of its own. The accuracy of each class is on the right. Above 30 classes, there is no room for
    numbers, and a bar explains the colours.

    Args:
        counts: (classes, classes): images of each class (row) by the class that the model predicts (column).
        class_names: a name for each class; None: their numbers.
        title: title of the figure.

    Raises:
        UserError: `counts` is no square of numbers from 0, or the number of names is another one.

    Examples:
        >>> wrong = MisclassifiedImages(x_test, y_test)
        >>> model.fit(x_train, y_train, epochs=5, callbacks=[wrong])
        >>> plot_confusion(wrong.confusion)
    """
    counts = np.asarray(counts)
    size = counts.shape[0] if counts.ndim else 0
    if counts.shape != (size, size) or size == 0 or not np.all(counts >= 0):
        what = f"{counts.min()}" if counts.shape == (size, size) and size else f"shape {counts.shape}"
        raise UserError(f"counts: expected (classes, classes) numbers from 0, got {what}")
    names = [str(name) for name in (range(size) if class_names is None else class_names)]
    if len(names) != size:
        raise UserError(f"class_names: expected {size} names, one for each class, got {len(names)}")
    images = counts.sum(axis=1)
    shares = 100 * counts / np.maximum(images, 1)[:, None]
    shares[np.diag_indices(size)] = 0
    scale = Normalize(0, max(shares.max(), 1e-9))
    cell = min(0.5, 12 / size)  # inches
    font = min(9.0, max(5.0, 0.75 * cell * _POINTS))
    numbered = size <= 30
    colors = ERRORS(scale(shares))
    colors[np.diag_indices(size)] = to_rgba(RIGHT if numbered else RIGHT_WITHOUT_NUMBER)

    figure = Figure(figsize=(max(4.0, size * cell + 1.9), max(2.2, size * cell + 1.3)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(colors, interpolation="nearest")
    if numbered:
        _write_counts(axes, counts, cell)
        axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
    step = math.ceil(6 / (cell * _POINTS))  # labels of 5 points, the smallest that can be read, need 6
    shown = range(0, size, step)
    labels = [drawable(shorten(names[index], 16)) for index in shown]
    upright = 90 if max(map(len, labels)) * font * 0.65 > step * cell * _POINTS else 0
    axes.set_xticks(shown, labels, fontsize=font, rotation=upright)
    axes.set_yticks(shown, labels, fontsize=font)
    right = axes.secondary_yaxis("right")
    percent = [f"{100 * counts[i, i] / images[i]:.1f} %" if images[i] else "" for i in shown]
    right.set_yticks(shown, percent, fontsize=font)
    for side in (axes, right):
        side.tick_params(which="both", length=0)
        for spine in side.spines.values():
            spine.set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    right.set_ylabel("accuracy of the class")
    if not numbered:
        bar = figure.colorbar(
            ScalarMappable(scale, ERRORS), ax=axes, location="bottom", shrink=0.5, aspect=40
        )
        bar.set_label("share of the class with this wrong prediction, %")
    figure.suptitle(wrap(title, figure.get_figwidth()))
    return set_literal(figure)


def _write_counts(axes: Axes, counts: np.ndarray, cell: float) -> None:
    digits = len(str(counts.max()))
    font = min(9.0, 1.4 * cell * _POINTS / digits)
    for (row, column), count in np.ndenumerate(counts):
        color = "black" if count else "0.8"
        axes.text(column, row, str(count), ha="center", va="center", fontsize=font, color=color)
