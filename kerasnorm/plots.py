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
from kerasnorm.plot_style import COLORS, SIZE, STYLES, accuracy_limits, add_legend, label_axes
from kerasnorm.plot_text import set_literal, shorten, wrap

TRAIN = {"color": COLORS[0], "linestyle": "--", "label": "train"}
TEST = {"color": COLORS[1], "linestyle": "-", "label": "test"}


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
        label_axes(axes, "epoch", f"{label}, %" if _is_accuracy(key) else label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(0.5, len(epochs) + 0.5)
        _mark_learning_rates(axes, history.get("learning_rate", []), at_top=key == loss)
        if scale == 100:
            axes.set_ylim(*accuracy_limits(shown, []))
        elif key == loss and np.all(np.concatenate([history[key], test]) > 0):
            _set_log_scale(axes)  # the loss falls most in the first epochs
    add_legend(figure)
    figure.suptitle(wrap(title, 5 * len(keys)))
    return set_literal(figure)


def plot_overlaid(values: Mapping[str, Sequence[Sequence[float]]], label: str, title: str = "") -> Figure:
    """Plot one metric of several models over the epochs: the mean of each model's runs and a band for their range.

    Args:
        values: the runs of each model by its name. A run has one value for each epoch, and the runs of a model have
            the same length.
        label: label of the vertical axis. If it has a percent sign, the axis shows the training after its first
            quarter, which may be below it; a model that ends far below the others is named with its last value.
            Otherwise it is logarithmic, unless a value is 0 or less.
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
    means = {name: np.mean(runs, axis=0) for name, runs in values.items()}
    limits = accuracy_limits(
        list(means.values()), [np.asarray(run) for runs in values.values() for run in runs]
    )
    zoomed = "%" in label
    alpha = 0.18 if len(values) <= 4 else 0.08
    for (name, runs), color, style in zip(values.items(), itertools.cycle(COLORS), itertools.cycle(STYLES)):
        epochs = np.arange(1, len(runs[0]) + 1)
        marker = "o" if len(epochs) == 1 else None
        end = means[name][-1]
        hidden = f": ends at {end:.1f} %" if zoomed and end < limits[0] else ""
        text = f"{shorten(name, 40)}{hidden}"
        axes.plot(epochs, means[name], color=color, linestyle=style, marker=marker, label=text)
        axes.fill_between(
            epochs, np.min(runs, axis=0), np.max(runs, axis=0), color=color, alpha=alpha, linewidth=0
        )
    label_axes(axes, "epoch", label)
    axes.set_title(wrap(title, SIZE[0]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0.5, max(map(max, lengths.values())) + 0.5)
    if zoomed:
        axes.set_ylim(*limits)
    elif min(np.min(runs) for runs in values.values()) > 0:
        _set_log_scale(axes)
    add_legend(figure)
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
