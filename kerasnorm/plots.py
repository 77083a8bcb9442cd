"""The pictures: learning curves and misclassified images. Each function returns a matplotlib Figure."""

from __future__ import annotations

import colorsys
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from export.errors import UserError

# Blue and vermilion of Okabe and Ito's palette, which colour-blind people can tell apart; the dashes
# carry the difference too.
TRAIN = {"color": "#0072B2", "linestyle": "--", "label": "train"}
TEST = {"color": "#D55E00", "linestyle": "-", "label": "test"}
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
STYLES = ("-", "--", "-.", ":")


def plot_curves(history: Mapping[str, Sequence[float]], title: str = "") -> Figure:
    """Loss and accuracy over the epochs, train and test, with the learning rate's steps marked.

    Args:
        history: values by epoch, as `History.history` has them: `accuracy`, `val_accuracy`, and
            `cross_entropy` and `val_cross_entropy` (the loss without penalties) or else `loss` and
            `val_loss`; `learning_rate` if its steps are to be marked.
        title: title of the figure.

    Raises:
        UserError: a needed series is missing, or there is no epoch.
    """
    loss = "cross_entropy" if "cross_entropy" in history else "loss"
    missing = [
        key for key in (loss, f"val_{loss}", "accuracy", "val_accuracy") if not len(history.get(key, []))
    ]
    if missing:
        raise UserError(f"plot_curves: expected {', '.join(missing)} in the history, got {sorted(history)}")
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    loss_label = "cross-entropy" if loss == "cross_entropy" else "loss"
    for axes, key, label, scale in ((left, loss, loss_label, 1.0), (right, "accuracy", "accuracy, %", 100.0)):
        epochs = np.arange(1, len(history[key]) + 1)
        marker = "o" if len(epochs) == 1 else None
        axes.plot(epochs, np.multiply(history[key], scale), marker=marker, **TRAIN)
        axes.plot(epochs, np.multiply(history[f"val_{key}"], scale), marker=marker, **TEST)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.set_xlim(0.5, len(epochs) + 0.5)
        _mark_learning_rates(axes, history.get("learning_rate", []), at_top=key == loss)
        axes.legend(loc="center right", frameon=True)
    if np.all(np.concatenate([history[loss], history[f"val_{loss}"]]) > 0):
        left.set_yscale("log")  # most of the way is gone in the first epochs
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter("{x:g}")
        left.yaxis.set_minor_formatter(NullFormatter())
    figure.suptitle(title)
    return figure


def plot_overlaid(values: Mapping[str, Sequence[Sequence[float]]], label: str, title: str = "") -> Figure:
    """One quantity over the epochs for several models: the mean over their runs, with a band from least to most.

    Args:
        values: for each model's name its runs, each a value by epoch; the runs of a model are of one length.
        label: label of the vertical axis.
        title: title of the figure.

    Raises:
        UserError: there is no model, or the runs of one differ in length.
    """
    lengths = {name: {len(run) for run in runs} for name, runs in values.items()}
    if not values or any(len(found) != 1 or found == {0} for found in lengths.values()):
        raise UserError(
            f"plot_overlaid: expected runs of one length for each model, got {lengths or 'no model'}"
        )
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for (name, runs), color, style in zip(values.items(), itertools.cycle(COLORS), itertools.cycle(STYLES)):
        epochs = np.arange(1, len(runs[0]) + 1)
        marker = "o" if len(epochs) == 1 else None
        axes.plot(epochs, np.mean(runs, axis=0), color=color, linestyle=style, marker=marker, label=name)
        axes.fill_between(
            epochs, np.min(runs, axis=0), np.max(runs, axis=0), color=color, alpha=0.18, linewidth=0
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if "%" in label:
        # The first epochs would squeeze what matters into the last millimetre.
        means = np.concatenate([np.mean(runs, axis=0) for runs in values.values()])
        top = max(float(np.max(runs)) for runs in values.values())
        axes.set_ylim(bottom=min(np.percentile(means, 10), top - 0.5), top=min(100.0, top + 0.1))
    elif min(np.min(runs) for runs in values.values()) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend()
    return figure


def plot_settings(
    values: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str, label: str, title: str = ""
) -> Figure:
    """One figure of several models at a few settings: a line through the means, and a dot for each run.

    Args:
        values: for each model's name and each setting, the runs' values; the settings are the same for all models.
        xlabel: what the settings are.
        label: label of the vertical axis.
        title: title of the figure.

    Raises:
        UserError: there is no model, or the models' settings differ.
    """
    settings = {name: tuple(of_model) for name, of_model in values.items()}
    if len(set(settings.values())) != 1 or not all(settings.values()):
        raise UserError(
            f"plot_settings: expected the same settings for each model, got {settings or 'no model'}"
        )
    names = next(iter(settings.values()))
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    shifts = 0.12 * (np.arange(len(values)) - (len(values) - 1) / 2)  # or the models' dots hide each other
    for (name, of_model), shift, color, style in zip(
        values.items(), shifts, itertools.cycle(COLORS), itertools.cycle(STYLES)
    ):
        places = np.arange(len(names)) + shift
        axes.plot(
            places, [np.mean(runs) for runs in of_model.values()], color=color, linestyle=style, label=name
        )
        for place, runs in zip(places, of_model.values(), strict=True):
            axes.plot([place] * len(runs), runs, "o", color=color, markersize=5)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend()
    return figure


def light_colors(count: int) -> list[str]:
    """Light colours, as RRGGBB; neighbours differ most (steps of the golden ratio round the circle of hues)."""
    colors = []
    for index in range(count):
        parts = colorsys.hls_to_rgb(index * 0.618034 % 1, 0.8, 0.65)
        colors.append("".join(f"{round(255 * part):02X}" for part in parts))
    return colors


def plot_shared(values: np.ndarray, sets: Sequence[tuple[str, range, range]], title: str = "") -> Figure:
    """The values of a few images, those that share a mean and a variance in one colour.

    Args:
        values: (images, height, width, channels); images are drawn downwards, channels to the right.
        sets: label, images and channels of each set that shares them, as `workbook.Example.sets` gives them.
        title: title of the figure.
    """
    images, height, width, channels = values.shape
    figure = Figure(figsize=(0.32 * channels * (width + 1) + 0.9, 0.3 * images * (height + 1) + 0.7))
    axes = figure.subplots()
    for (_, rows, columns), color in zip(sets, light_colors(len(sets)), strict=True):
        for image, channel, y, x in itertools.product(rows, columns, range(height), range(width)):
            place = (channel * (width + 0.5) + x, image * (height + 0.5) + y)
            axes.add_patch(Rectangle(place, 1, 1, facecolor=f"#{color}", edgecolor="0.4", linewidth=0.6))
            text = f"{values[image, y, x, channel]:.3g}"
            axes.text(place[0] + 0.5, place[1] + 0.5, text, ha="center", va="center", fontsize=8)
    axes.set_xlim(-0.1, channels * (width + 0.5) - 0.4)
    axes.set_ylim(images * (height + 0.5) - 0.4, -0.1)
    names = [f"channel {channel + 1}" for channel in range(channels)]
    axes.set_xticks(np.arange(channels) * (width + 0.5) + width / 2, names)
    names = [f"image {image + 1}" for image in range(images)]
    axes.set_yticks(np.arange(images) * (height + 0.5) + height / 2, names)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_aspect("equal")
    axes.set_frame_on(False)
    axes.set_title(title)
    return figure


def _mark_learning_rates(axes: Axes, rates: Sequence[float], at_top: bool) -> None:
    for epoch in range(1, len(rates)):
        if not math.isclose(rates[epoch], rates[epoch - 1], rel_tol=1e-6):
            # Epoch e's value is drawn at e + 1; the rate changes between two of them.
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


def plot_misclassified(
    images: np.ndarray,
    predicted: Sequence[int] | np.ndarray,
    actual: Sequence[int] | np.ndarray,
    *,
    class_names: Sequence[str] | None = None,
    rows: int = 5,
    columns: int = 5,
    title: str = "",
) -> Figure:
    """A canvas of misclassified images, each captioned 'pred=6 act=5'.

    Args:
        images: (n, height, width), (n, height, width, 1) or (n, height, width, 3): uint8 of 0..255, or
            floats of 0..1 (`unnormalize` gives them). The first rows * columns are shown; fewer make a
            smaller canvas.
        predicted: predicted classes, (n,).
        actual: labels, (n,).
        class_names: names to show in place of the classes' numbers.
        rows: most rows of the canvas.
        columns: most columns of the canvas.
        title: title of the figure.

    Raises:
        UserError: shapes don't match, or pixels are out of range.
    """
    images = np.asarray(images)
    if len(images) and (images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3))):
        raise UserError(
            f"images: expected (n, height, width), with 1 or 3 channels behind or none, got {images.shape}"
        )
    if not len(images) == len(predicted) == len(actual):
        raise UserError(
            f"expected a prediction and a label for each image, got {len(images)} images, "
            f"{len(predicted)} predictions and {len(actual)} labels"
        )
    if images.dtype != np.uint8 and images.size and not (images.min() >= 0 and images.max() <= 1):
        raise UserError(
            f"images: expected uint8, or floats of 0..1, got {images.dtype} of {images.min():g}..{images.max():g}; "
            "see unnormalize"
        )
    shown = min(len(images), rows * columns)
    columns = min(columns, max(shown, 1))
    rows = max(1, math.ceil(shown / columns))
    figure = Figure(figsize=(max(1.6 * columns, 4), 1.75 * rows + 0.5), layout="constrained")
    figure.suptitle(title)
    grid: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.set_axis_off()
    if shown == 0:
        grid[0].text(
            0.5, 0.5, "no misclassified images", ha="center", va="center", transform=grid[0].transAxes
        )
    for index in range(shown):
        image = images[index].squeeze(-1) if images.shape[-1] == 1 and images.ndim == 4 else images[index]
        grid[index].imshow(image, cmap="gray", vmin=0, vmax=255 if images.dtype == np.uint8 else 1)
        labels = [
            class_names[int(label)] if class_names else str(int(label))
            for label in (predicted[index], actual[index])
        ]
        separator = " " if len("".join(labels)) <= 6 else "\n"
        grid[index].set_title(f"pred={labels[0]}{separator}act={labels[1]}", fontsize=10)
    return figure


def unnormalize(
    images: np.ndarray, mean: float | Sequence[float], std: float | Sequence[float]
) -> np.ndarray:
    """Undo (pixel - mean) / std: images * std + mean, clipped to 0..1, as matplotlib draws them.

    Args:
        images: (..., height, width), or (..., height, width, channels) with one mean for each channel.
        mean: mean of the pixels scaled to 0..1; a number, or one for each channel.
        std: their standard deviation, likewise.

    Returns:
        Floats of 0..1 in the shape of `images`.

    Raises:
        UserError: the last axis of `images` has not one channel for each mean.

    Example:
        >>> grey = unnormalize(x, 0.1307, 0.3081)
        >>> rgb = unnormalize(x, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    """
    images = np.asarray(images)
    means, stds = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    for name, values in (("mean", means), ("std", stds)):
        if values.ndim > 1 or (values.size > 1 and images.shape[-1] != values.size):
            raise UserError(
                f"{name}: expected one number, or one for each of the {images.shape[-1]} channels, "
                f"got {values.tolist()}"
            )
    return np.clip(images * stds + means, 0, 1).astype(np.result_type(images.dtype, np.float32))
