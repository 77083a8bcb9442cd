"""Plots of final results, of several models and settings. Each function returns a matplotlib Figure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from export.errors import UserError
from kerasnorm.plot_style import COLORS, SIZE, STYLES, accuracy_limits, add_legend, label_axes
from kerasnorm.plot_text import drawable, set_literal, shorten, wrap


def plot_runs(values: Mapping[str, Sequence[float]], label: str, title: str = "") -> Figure:
    """Plot the accuracy of several models: a row for each model, with a dot for each run and a line at their mean.

    What is far below the others is written at the left end of its row.

    Args:
        values: the accuracies of the runs of each model by its name, in percent.
        label: label of the horizontal axis.
        title: title of the figure.

    Raises:
        UserError: there is no model, or a model has no run.
    """
    if not values or not all(map(len, values.values())):
        raise UserError(
            f"plot_runs: expected one run or more for each model, got {dict(values) or 'no model'}"
        )
    figure = Figure(figsize=(SIZE[0], 1.1 + 0.42 * len(values)), layout="constrained")
    axes = figure.subplots()
    arrays = [np.asarray(runs, np.float64) for runs in values.values()]
    means = [runs.mean(keepdims=True) for runs in arrays]
    low, high = accuracy_limits(means, [np.array([value]) for runs in arrays for value in runs])
    for runs, color, row in zip(arrays, itertools.cycle(COLORS), itertools.count()):
        axes.plot(runs, [row] * len(runs), "o", color=color, alpha=0.55, markersize=7, markeredgewidth=0)
        axes.plot([np.mean(runs)] * 2, [row - 0.32, row + 0.32], color=color, linewidth=2.5)
        if runs.min() < low:
            text = f" ← {', '.join(f'{value:.2f}' for value in runs[runs < low])}"
            above_dots = 0.3 if runs.max() >= low else 0.0
            axes.text(low, row - above_dots, text, color=color, fontsize=9, va="center")
    axes.set_yticks(range(len(values)), [drawable(shorten(name, 20)) for name in values])
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(low, high)
    label_axes(axes, label, "")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_title(wrap(title, SIZE[0]))
    return set_literal(figure)


def plot_settings(
    values: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str, label: str, title: str = ""
) -> Figure:
    """Plot one metric of several models at a few settings: a line through the means and a dot for each run.

    Args:
        values: for each model's name and each setting, the values of the runs. All models have the same settings.
        xlabel: what the settings are.
        label: label of the vertical axis.
        title: title of the figure.

    Raises:
        UserError: there is no model, or the settings of the models differ.
    """
    settings = {name: tuple(of_model) for name, of_model in values.items()}
    if len(set(settings.values())) != 1 or not all(settings.values()):
        raise UserError(
            f"plot_settings: expected the same settings for each model, got {settings or 'no model'}"
        )
    names = next(iter(settings.values()))
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    # Shift the models, so that the dots of one do not hide those of another.
    step = min(0.12, 0.8 / len(values))
    shifts = step * (np.arange(len(values)) - (len(values) - 1) / 2)
    for (name, of_model), shift, color, style in zip(
        values.items(), shifts, itertools.cycle(COLORS), itertools.cycle(STYLES)
    ):
        positions = np.arange(len(names)) + shift
        means = [np.mean(runs) for runs in of_model.values()]
        axes.plot(positions, means, color=color, linestyle=style, label=shorten(name, 40))
        for position, runs in zip(positions, of_model.values(), strict=True):
            axes.plot([position] * len(runs), runs, "o", color=color, markersize=5)
    axes.set_xticks(range(len(names)), [drawable(shorten(name, 20)) for name in names])
    label_axes(axes, xlabel, label)
    axes.set_title(wrap(title, SIZE[0]))
    add_legend(figure)
    return set_literal(figure)
