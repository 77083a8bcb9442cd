"""Learning curves of one run and of several models. Each function returns a matplotlib Figure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from export.errors import UserError
from kerasnorm.plot_text import drawable, set_literal, shorten, wrap

# Colours of Okabe and Ito's palette, which colour-blind people can tell apart. Line styles repeat the distinction.
# Seven colours and four styles are different pairs for 28 models.
TRAIN = {"color": "#0072B2", "linestyle": "--", "label": "train"}
TEST = {"color": "#D55E00", "linestyle": "-", "label": "test"}
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")

# Wide enough for a phone to show the labels in their size: a plot is as wide as its screen, five inches.
SIZE = (4.8, 3.7)


def plot_curves(history: Mapping[str, Sequence[float]], title: str = "") -> Figure:
    """Plot the training and test loss and a metric of one run over its epochs, and mark changes of the learning rate.

    Args:
        history: values for each epoch, as in Keras' `History.history`. The loss is `cross_entropy` (without penalties)
            or else `loss`. The metric is `accuracy`, or else the first accuracy such as `binary_accuracy`, or else the
            first metric; without one, only the loss is plotted. The values of the test images are those of
            `val_loss` and so on, if there are any. Changes of `learning_rate` are marked if it is there. The axis of
            an accuracy shows the training after its first quarter, which may be below it.
        title: title of the figure.

    Raises:
        UserError: there is no loss.
    """
    loss = "cross_entropy" if "cross_entropy" in history else "loss"
    if not len(history.get(loss, [])):
        raise UserError(f"plot_curves: expected {loss} in the history, got {sorted(history)}")
    keys = [loss, *_metric(history, loss)]
    figure = Figure(figsize=(5 * len(keys), 4), layout="constrained")
    for axes, key in zip(figure.subplots(1, len(keys), squeeze=False)[0], keys, strict=True):
        scale = 100.0 if _is_accuracy(key) else 1.0
        label = "cross-entropy" if key == "cross_entropy" else key.replace("_", " ")
        epochs = np.arange(1, len(history[key]) + 1)
        marker = "o" if len(epochs) == 1 else None
        shown = [np.multiply(history[key], scale)]
        axes.plot(epochs, shown[0], marker=marker, **TRAIN)
        test = history.get(f"val_{key}", [])
        if len(test):  # fewer than epochs if they are evaluated every few epochs only
            evaluated = epochs[len(epochs) // len(test) - 1 :: max(1, len(epochs) // len(test))][: len(test)]
            shown.append(np.multiply(test, scale))
            axes.plot(evaluated, shown[1], marker=marker, **TEST)
        _label(axes, "epoch", f"{label}, %" if _is_accuracy(key) else label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(0.5, len(epochs) + 0.5)
        _mark_learning_rates(axes, history.get("learning_rate", []), at_top=key == loss)
        if scale == 100:
            _zoom_on_the_end(axes, shown, lowest=shown)
        elif key == loss and np.all(np.concatenate([history[key], test]) > 0):
            _set_log_scale(axes)  # the loss falls most in the first epochs
    _add_legend(figure)
    figure.suptitle(wrap(title, 5 * len(keys)))
    return set_literal(figure)


def plot_overlaid(values: Mapping[str, Sequence[Sequence[float]]], label: str, title: str = "") -> Figure:
    """Plot one metric of several models over the epochs: the mean of each model's runs and a band for their range.

    Args:
        values: the runs of each model by its name. A run has one value for each epoch, and the runs of a model have
            the same length.
        label: label of the vertical axis. If it has a percent sign, the axis shows the training after its first
            quarter, which may be below it. Otherwise it is logarithmic, unless a value is 0 or less.
        title: title of the figure.

    Raises:
        UserError: there is no model, or the runs of a model differ in length.
    """
    lengths = {name: {len(run) for run in runs} for name, runs in values.items()}
    if not values or any(len(found) != 1 or found == {0} for found in lengths.values()):
        raise UserError(
            f"plot_overlaid: expected runs of equal length for each model, got {lengths or 'no model'}"
        )
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    alpha = 0.18 if len(values) <= 4 else 0.08
    for (name, runs), color, style in zip(values.items(), itertools.cycle(COLORS), itertools.cycle(STYLES)):
        epochs = np.arange(1, len(runs[0]) + 1)
        marker = "o" if len(epochs) == 1 else None
        axes.plot(
            epochs,
            np.mean(runs, axis=0),
            color=color,
            linestyle=style,
            marker=marker,
            label=shorten(name, 40),
        )
        axes.fill_between(
            epochs, np.min(runs, axis=0), np.max(runs, axis=0), color=color, alpha=alpha, linewidth=0
        )
    _label(axes, "epoch", label)
    axes.set_title(wrap(title, SIZE[0]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0.5, max(map(max, lengths.values())) + 0.5)
    if "%" in label:
        means = [np.mean(runs, axis=0) for runs in values.values()]
        _zoom_on_the_end(axes, [np.asarray(run) for runs in values.values() for run in runs], lowest=means)
    elif min(np.min(runs) for runs in values.values()) > 0:
        _set_log_scale(axes)
    _add_legend(figure)
    return set_literal(figure)


def plot_runs(values: Mapping[str, Sequence[float]], label: str, title: str = "") -> Figure:
    """Plot one result of several models: a row for each model, with a dot for each run and a line at their mean.

    Args:
        values: the results of the runs of each model by its name.
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
    for (name, runs), color, row in zip(values.items(), itertools.cycle(COLORS), itertools.count()):
        axes.plot(runs, [row] * len(runs), "o", color=color, alpha=0.55, markersize=7, markeredgewidth=0)
        axes.plot([np.mean(runs)] * 2, [row - 0.32, row + 0.32], color=color, linewidth=2.5, label=name)
    axes.set_yticks(range(len(values)), [drawable(shorten(name, 20)) for name in values])
    axes.set_ylim(len(values) - 0.4, -0.6)
    low, high = min(map(min, values.values())), max(map(max, values.values()))
    margin = 0.06 * max(high - low, 0.5)
    axes.set_xlim(low - margin, high + margin)
    _label(axes, label, "")
    axes.xaxis.set_major_locator(MaxNLocator(6))
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
    _label(axes, xlabel, label)
    axes.set_title(wrap(title, SIZE[0]))
    _add_legend(figure)
    return set_literal(figure)


def _metric(history: Mapping[str, Sequence[float]], loss: str) -> list[str]:
    """The key of the metric that is plotted beside the loss, if there is one."""
    others = {loss, "loss", "learning_rate", "epoch", "seconds"}
    keys = [
        key
        for key, values in history.items()
        if key not in others and not key.startswith("val_") and len(values)
    ]
    return sorted(keys, key=lambda key: (key != "accuracy", not _is_accuracy(key)))[:1]


def _is_accuracy(key: str) -> bool:
    return key == "acc" or key.endswith("accuracy")


def _label(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xlabel(shorten(xlabel, 60))
    axes.set_ylabel(shorten(ylabel, 40))
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _zoom_on_the_end(axes: Axes, runs: Sequence[np.ndarray], lowest: Sequence[np.ndarray]) -> None:
    """Limit the vertical axis to `lowest` after a quarter of the training and the last values of `runs`.

    The first epochs would squeeze the differences that matter. The axis is half a point high or more, so that chance
    does not look like a trend.
    """
    ends = [values[len(values) // 4 :] for values in lowest] + [run[-1:] for run in runs]
    high = np.max(np.concatenate(runs))
    low = min(np.min(np.concatenate(ends)), high - 0.5)
    margin = 0.05 * (high - low)
    axes.set_ylim(low - margin, high + margin)


def _add_legend(figure: Figure) -> None:
    """Name the curves below the plot, where no name covers a value."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    width = 0.6 + 0.09 * max(map(len, names))  # inches
    columns = max(1, min(len(names), int(figure.get_figwidth() / width)))
    columns = math.ceil(len(names) / math.ceil(len(names) / columns))  # rows of equal length
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)


def _set_log_scale(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _mark_learning_rates(axes: Axes, rates: Sequence[float], at_top: bool) -> None:
    for epoch in range(1, len(rates)):
        if not math.isclose(rates[epoch], rates[epoch - 1], rel_tol=1e-6):
            # The value of epoch e is drawn at e + 1, and the rate changes between two epochs.
            axes.axvline(epoch + 0.5, color="0.55", linestyle=":", linewidth=1)
            axes.annotate(
                f"lr {rates[epoch]:.3g}",
                (epoch + 0.5, 0.98 if at_top else 0.02),
                xycoords=("data", "axes fraction"),
                xytext=(-2, 0),
                textcoords="offset points",
                ha="right",
                va="top" if at_top else "bottom",
                rotation=90,
                fontsize=8,
                color="0.35",
            )
