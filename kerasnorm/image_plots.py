"""Images, and the values of images. The `plot_` functions return a matplotlib Figure."""

from __future__ import annotations

import colorsys
import itertools
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from export.errors import UserError
from kerasnorm.plot_text import set_literal, shorten, wrap


def light_colors(count: int) -> list[str]:
    """Return light colours as RRGGBB. The hue moves by the golden ratio, so that neighbours differ clearly."""
    colors = []
    for index in range(count):
        parts = colorsys.hls_to_rgb(index * 0.618034 % 1, 0.8, 0.65)
        colors.append("".join(f"{round(255 * part):02X}" for part in parts))
    return colors


def plot_shared(values: np.ndarray, sets: Sequence[tuple[str, range, range]], title: str = "") -> Figure:
    """Plot the values of a few images, with one colour for the values that share a mean and a variance.

    Args:
        values: (images, height, width, channels). Images are drawn from top to bottom, channels from left to right.
        sets: label, images and channels of each set of values, see `kerasnorm.worked_example.Example.sets`.
        title: title of the figure.
    """
    images, height, width, channels = values.shape
    figure = Figure(figsize=(0.32 * channels * (width + 1) + 0.9, 0.3 * images * (height + 1) + 0.7))
    axes = figure.subplots()
    for (_, rows, columns), color in zip(sets, light_colors(len(sets)), strict=True):
        for image, channel, y, x in itertools.product(rows, columns, range(height), range(width)):
            left, top = channel * (width + 0.5) + x, image * (height + 0.5) + y
            axes.add_patch(
                Rectangle((left, top), 1, 1, facecolor=f"#{color}", edgecolor="0.4", linewidth=0.6)
            )
            text = f"{values[image, y, x, channel]:.3g}"
            axes.text(left + 0.5, top + 0.5, text, ha="center", va="center", fontsize=8)
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
    return set_literal(figure)


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
    """Plot a grid of misclassified images, each with a caption such as 'pred=6 act=5'.

    Args:
        images: (n, height, width) or (n, height, width, channels), pixels 0..255, or floats 0..1, see `unnormalize`.
            The first rows * columns images are shown. For fewer images, the grid is smaller. Of 2 or 4 channels the
            last one, such as alpha, is left out; of more, the mean is shown.
        predicted: predicted classes, (n,).
        actual: labels, (n,).
        class_names: names to show instead of the numbers of the classes; long ones are shortened.
        rows: maximum number of rows.
        columns: maximum number of columns.
        title: title of the figure.

    Raises:
        UserError: the shapes don't match, or pixels are not in 0..255.
    """
    images = np.asarray(images)
    if len(images) and (images.ndim not in (3, 4) or 0 in images.shape):
        raise UserError(
            f"images: expected (n, height, width) or (n, height, width, channels), got {images.shape}"
        )
    if not len(images) == len(predicted) == len(actual):
        raise UserError(
            f"plot_misclassified: expected a prediction and a label for each image, got {len(images)} images, "
            f"{len(predicted)} predictions and {len(actual)} labels"
        )
    shown = min(len(images), rows * columns)
    columns = min(columns, max(shown, 1))
    rows = max(1, math.ceil(shown / columns))
    figure = Figure(figsize=(max(1.6 * columns, 4), 1.75 * rows + 0.5), layout="constrained")
    figure.suptitle(wrap(title, max(1.6 * columns, 4)))
    grid: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.set_axis_off()
    if shown == 0:
        grid[0].text(
            0.5, 0.5, "no misclassified images", ha="center", va="center", transform=grid[0].transAxes
        )
    pixels = _displayable(images[:shown])
    for index in range(shown):
        grid[index].imshow(pixels[index], cmap="gray", vmin=0, vmax=255 if pixels.dtype == np.uint8 else 1)
        labels = [_name(int(label), class_names) for label in (predicted[index], actual[index])]
        separator = " " if len("".join(labels)) <= 6 else "\n"
        grid[index].set_title(f"pred={labels[0]}{separator}act={labels[1]}", fontsize=10)
    return set_literal(figure)


def _displayable(images: np.ndarray) -> np.ndarray:
    """Return images as matplotlib takes them: grey (n, height, width) or RGB, in uint8 or as floats 0..1."""
    low, high = (images.min(), images.max()) if images.size else (0, 0)
    if not (low >= 0 and high <= 255):
        raise UserError(
            f"images: expected pixels 0..255 or floats 0..1, got {images.dtype} in {low:g}..{high:g}; "
            "undo their normalization with unnormalize"
        )
    channels = images.shape[3] if images.ndim == 4 else 1
    if channels in (2, 4):
        images = images[..., :-1]
    elif channels > 4:
        images = images.mean(axis=-1, keepdims=True, dtype=np.float64).astype(images.dtype)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.dtype == np.uint8:
        return images
    is_fraction = images.dtype.kind == "b" or (images.dtype.kind == "f" and high <= 1)
    return images.astype(np.float64) / (1 if is_fraction else 255)


def _name(label: int, class_names: Sequence[str] | None) -> str:
    known = class_names is not None and 0 <= label < len(class_names)
    return shorten(str(class_names[label]), 15) if known and class_names else str(label)


def unnormalize(
    images: np.ndarray, mean: float | Sequence[float] | np.ndarray, std: float | Sequence[float] | np.ndarray
) -> np.ndarray:
    """Undo the normalization (pixel - mean) / std: return images * std + mean, clipped to 0..1 for matplotlib.

    Args:
        images: (..., height, width), or (..., height, width, channels) if there is a mean for each channel.
        mean: mean of the pixels scaled to 0..1: one number, or one for each channel.
        std: standard deviation of the pixels scaled to 0..1: one number, or one for each channel.

    Returns:
        Floats in 0..1, in the shape of `images`.

    Raises:
        UserError: `mean` or `std` has several numbers, and the last axis of `images` another size.

    Examples:
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
