"""What plots share: the range of accuracies, and a legend that covers nothing."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from kerasnorm.plot_style import COLORS, STYLES, accuracy_limits, add_legend, label_axes


def test_colours_and_styles_tell_28_models_apart() -> None:
    pairs = {(COLORS[i % len(COLORS)], STYLES[i % len(STYLES)]) for i in range(28)}
    assert len(pairs) == 28


@pytest.mark.parametrize(
    ("curve", "low", "high"),
    [
        ([10, 98, 98.5, 99, 99.2], 97.94, 99.26),  # the first quarter is left out
        ([99.2] * 5, 98.675, 99.225),  # half a point or more
        ([np.nan] * 3, 0, 100),
    ],
)
def test_accuracy_limits(curve: list[float], low: float, high: float) -> None:
    values = np.array(curve)
    np.testing.assert_allclose(accuracy_limits([values], [values]), (low, high), rtol=0, atol=1e-9)


def test_a_model_far_below_does_not_squeeze_the_others() -> None:
    good, bad = np.array([98.0, 99.0, 99.2, 99.3]), np.array([10.0, 11.0, 11.0, 11.0])
    low, _ = accuracy_limits([good, good, bad], [good, good, bad])
    assert low > 98


def test_the_legend_is_below_the_axes() -> None:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2], label="bn")
    label_axes(axes, "epoch", "accuracy, %")
    add_legend(figure)
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().y1 <= axes.xaxis.label.get_window_extent().y0
    assert not axes.spines["top"].get_visible()
