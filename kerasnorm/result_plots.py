"""Plots of final results, of several models and settings. Each function returns a matplotlib Figure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from export.errors import UserError
from kerasnorm.plot_style import COLORS, SIZE, STYLES, accuracy_limits, add_legend, label_axes
from kerasnorm.plot_text import drawable, set_literal, shorten, wrap
from kerasnorm.study.statistics import summarize


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
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    _draw_settings(axes, values)
    label_axes(axes, xlabel, label)
    axes.set_title(wrap(title, SIZE[0]))
    add_legend(figure)
    return set_literal(figure)


def plot_settings_apart(
    panels: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]], xlabel: str, label: str
) -> Figure:
    """Plot one metric of many models at a few settings, as `plot_settings` does: one panel below the other.

    Args:
        panels: for each panel's title, the values of its models.
        xlabel: what the settings are.
        label: label of the vertical axes. Each panel has the range of its own models.

    Raises:
        UserError: there is no panel, a panel has no model, or the settings of the models differ.
    """
    every = {name: of_model for values in panels.values() for name, of_model in values.items()}
    if not panels or not all(panels.values()):
        raise UserError(
            f"plot_settings_apart: expected one model or more in each panel, got {dict(panels) or 'none'}"
        )
    _check_settings(every)
    figure = Figure(figsize=(SIZE[0], 0.4 + 2.3 * len(panels)), layout="constrained")
    for axes, (title, values) in zip(
        figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0], panels.items(), strict=True
    ):
        _draw_settings(axes, values)
        label_axes(axes, "", label)
        axes.set_title(wrap(title, SIZE[0]), fontsize="medium")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.axes[-1].set_xlabel(shorten(xlabel, 60))
    return set_literal(figure)


def _check_settings(values: Mapping[str, Mapping[str, Sequence[float]]]) -> tuple[str, ...]:
    settings = {name: tuple(of_model) for name, of_model in values.items()}
    if len(set(settings.values())) != 1 or not all(settings.values()):
        raise UserError(
            f"plot_settings: expected the same settings for each model, got {settings or 'no model'}"
        )
    return next(iter(settings.values()))


def _draw_settings(axes: Axes, values: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    names = _check_settings(values)
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


def plot_tradeoff(
    values: Mapping[str, Sequence[float]],
    costs: Mapping[str, float],
    xlabel: str,
    label: str,
    title: str = "",
) -> Figure:
    """Plot the accuracy of several models against what they cost: a point for each, and its name beside it.

    From three runs on, a bar shows the 95 % interval of the mean. What is far below the others is named below the
    axis.

    Args:
        values: the accuracies of the runs of each model by its name, in percent.
        costs: the cost of each model.
        xlabel: label of the horizontal axis, which is that of the costs.
        label: label of the vertical axis.
        title: title of the figure.

    Raises:
        UserError: there is no model, a model has no run, or the names differ.
    """
    if not values or not all(map(len, values.values())) or set(values) != set(costs):
        raise UserError(
            "plot_tradeoff: expected one run or more and a cost for each model, got runs of "
            f"{', '.join(values) or 'no model'} and costs of {', '.join(costs) or 'none'}"
        )
    figure = Figure(figsize=(SIZE[0], SIZE[1] + 0.5), layout="constrained")
    axes = figure.subplots()
    found = {name: summarize(runs) for name, runs in values.items()}
    means = [np.array([one.mean]) for one in found.values()]
    low, high = accuracy_limits(means, means)
    shown = {name: one for name, one in found.items() if one.mean >= low}
    for (name, one), color in zip(shown.items(), itertools.cycle(COLORS)):
        axes.plot(costs[name], one.mean, "o", color=color, markersize=6)
        if not math.isnan(one.interval[0]):
            axes.plot([costs[name]] * 2, one.interval, color=color, linewidth=1.2)
            low, high = min(low, one.interval[0]), max(high, one.interval[1])
    left, right = min(costs.values()), max(costs.values())
    width = right - left or right or 1.0
    axes.set_xlim(left - 0.08 * width, right + 0.22 * width)
    margin = 0.06 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    heights: dict[str, float] = {}
    for names in _neighbours({name: costs[name] for name in shown}, 0.2 * width):
        heights |= _apart({name: shown[name].mean for name in names}, 0.06 * (high - low))
    for (name, one), color in zip(shown.items(), itertools.cycle(COLORS)):
        axes.annotate(
            drawable(shorten(name, 20)),
            (costs[name], one.mean),
            (costs[name] + 0.05 * width, heights[name]),
            color=color,
            va="center",
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.5},
        )
    label_axes(axes, xlabel, label)
    below = [f"{shorten(name, 20)} {one.mean:.2f}" for name, one in found.items() if name not in shown]
    if below:
        axes.set_xlabel(f"{axes.get_xlabel()}\n(far below: {', '.join(below)})")
    axes.set_title(wrap(title, SIZE[0]))
    return set_literal(figure)


def _neighbours(positions: Mapping[str, float], gap: float) -> list[list[str]]:
    """Return the names in groups, from left to right; between groups there is a gap of this size or more."""
    groups: list[list[str]] = []
    for name in sorted(positions, key=lambda name: positions[name]):
        if groups and positions[name] - positions[groups[-1][-1]] < gap:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def _apart(heights: Mapping[str, float], distance: float) -> dict[str, float]:
    """Return heights in the same order, with this distance or more between neighbours."""
    ordered = sorted(heights, key=lambda name: heights[name])
    steps = distance * np.arange(len(ordered))
    # Least squares with a minimum distance is an isotonic regression of what is left without that distance.
    blocks: list[list[float]] = []
    for value in np.array([heights[name] for name in ordered]) - steps:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    levels = [float(np.mean(block)) for block in blocks for _ in block]
    return {name: level + step for name, level, step in zip(ordered, levels, steps.tolist(), strict=True)}
