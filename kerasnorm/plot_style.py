"""What the plots of several models share: colours, size, axes and legend."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerasnorm.plot_text import shorten

# Colours of Okabe and Ito's palette, which colour-blind people can tell apart. Line styles repeat the distinction.
# Seven colours and four styles are different pairs for 28 models.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")

# Inches. A phone shows a plot as wide as its screen: a wider one would have smaller labels.
SIZE = (4.8, 3.7)


def label_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Label the axes, with a grid and without a frame."""
    axes.set_xlabel(shorten(xlabel, 60))
    axes.set_ylabel(shorten(ylabel, 40))
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def add_legend(figure: Figure) -> None:
    """Name the curves below the plot, where no name covers a value."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    width = 0.6 + 0.09 * max(map(len, names))  # inches
    columns = max(1, min(len(names), int(figure.get_figwidth() / width)))
    columns = math.ceil(len(names) / math.ceil(len(names) / columns))  # rows of equal length
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)


def accuracy_limits(curves: Sequence[np.ndarray], runs: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the range of accuracies, in percent, that matters: what would squeeze it is below.

    It has the curves after a quarter of the training, and the last value of each run. It leaves out what is far below
    the median model. It is half a point or more, so that chance does not look like a trend.

    Args:
        curves: the accuracies of each model.
        runs: the accuracies of each run; a model's curve may be the mean of several.
    """
    values = np.concatenate([*curves, *runs])
    if not np.isfinite(values).any():
        return 0.0, 100.0
    high = np.nanmax(values)
    last = [curve[-1] for curve in curves if np.isfinite(curve[-1])]
    far = high - max(5.0, 10 * (high - np.median(last or high)))
    ends = np.concatenate([*(curve[len(curve) // 4 :] for curve in curves), *(run[-1:] for run in runs)])
    low = min(np.min(ends[ends >= far], initial=high), high - 0.5)
    margin = 0.05 * (high - low)
    return float(low - margin), float(high + margin)
