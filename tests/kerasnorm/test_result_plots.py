from io import BytesIO

import numpy as np
import pytest
from matplotlib.lines import Line2D

from kerasnorm import plot_settings
from kerasnorm.result_plots import plot_runs, plot_settings_apart, plot_tradeoff
from kerasnorm.study.statistics import summarize


def y_of(line: Line2D) -> np.ndarray:
    """The vertical coordinates of a line."""
    return np.asarray(line.get_ydata())


def test_runs_are_dots_with_their_mean() -> None:
    axes = plot_runs({"bn": [99.1, 99.3], "$x_{": [98.0]}, "accuracy, %", "a title").axes[0]
    dots, mean = axes.lines[:2]
    assert np.asarray(dots.get_xdata()).tolist() == [99.1, 99.3]
    np.testing.assert_allclose(np.asarray(mean.get_xdata()), [99.2, 99.2])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["bn", "$x_{"]
    same = plot_runs({"bn": [99.9]}, "accuracy, %")
    same.savefig(BytesIO())
    assert same.axes[0].get_xlim()[1] < 100
    nothing: list[dict[str, list[float]]] = [{}, {"bn": []}]
    for unusable in nothing:
        with pytest.raises(ValueError, match="plot_runs: expected one run or more for each model, got"):
            plot_runs(unusable, "accuracy, %")


def test_runs_far_below_the_others_are_written() -> None:
    figure = plot_runs({"bn": [99.1, 99.3], "fails": [11.35, 99.0], "gn": [99.2]}, "accuracy, %")
    axes = figure.axes[0]
    assert axes.get_xlim()[0] > 98
    assert [text.get_text() for text in axes.texts] == [" ← 11.35"]
    figure.savefig(BytesIO())


def test_settings_show_means_and_all_runs() -> None:
    values = {"bn": {"2": [90.0, 92.0], "8": [95.0, 97.0]}, "gn": {"2": [96.0, 96.5], "8": [97.0, 98.0]}}
    axes = plot_settings(values, "batch size", "accuracy, %").axes[0]
    lines = [line for line in axes.lines if line.get_label() in values]
    np.testing.assert_allclose(y_of(lines[0]), [91, 96])
    np.testing.assert_allclose(y_of(lines[1]), [96.25, 97.5])
    dots = [line for line in axes.lines if line not in lines]
    assert sorted(value for line in dots for value in y_of(line)) == sorted(
        value for of_norm in values.values() for runs in of_norm.values() for value in runs
    )
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "8"]
    with pytest.raises(ValueError, match="expected the same settings for each model"):
        plot_settings({"bn": {"2": [1.0]}, "gn": {"8": [1.0]}}, "", "")


def test_panels_have_their_own_models_and_ranges() -> None:
    near, far = {"2": [96.0, 97.0], "8": [98.0]}, {"2": [11.0], "8": [20.0]}
    figure = plot_settings_apart(
        {"first": {"bn": near, "gn": near}, "second": {"dyt": far}}, "batch size", "%"
    )
    figure.savefig(BytesIO())
    first, second = figure.axes
    assert (first.get_title(), second.get_title(), second.get_xlabel()) == ("first", "second", "batch size")
    legend = first.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["bn", "gn"]
    np.testing.assert_allclose(y_of(first.lines[0]), [96.5, 98])
    assert first.get_ylim()[0] > 90 > second.get_ylim()[1]
    with pytest.raises(ValueError, match="plot_settings: expected the same settings for each model"):
        plot_settings_apart({"first": {"bn": near}, "second": {"dyt": {"2": [11.0]}}}, "", "")
    with pytest.raises(ValueError, match="expected one model or more in each panel, got none"):
        plot_settings_apart({}, "", "")
    with pytest.raises(ValueError, match="expected one model or more in each panel, got"):
        plot_settings_apart({"first": {}}, "", "")


def test_a_tradeoff_has_a_named_point_for_each_model() -> None:
    values = {
        "bn": [99.1, 99.2, 99.3],
        "gbn": [99.21, 99.2, 99.19],
        "gn": [99.4],
        "$x_{": [99.0, 99.2],
        "fails": [11.0],
    }
    costs = {"bn": 0.05, "gbn": 0.05, "gn": 0.12, "$x_{": 0.08, "fails": 0.06}
    figure = plot_tradeoff(values, costs, "latency, ms", "accuracy, %")
    axes = figure.axes[0]
    figure.savefig(BytesIO())
    points = [np.asarray(line.get_xydata())[0].tolist() for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(
        sorted(points),
        [(0.05, 99.2), (0.05, 99.2), (0.08, 99.1), (0.12, 99.4)],
        rtol=1e-12,
        atol=0,
    )
    bars = [y_of(line) for line in axes.lines if line.get_marker() != "o"]
    np.testing.assert_allclose(bars[0], list(summarize(values["bn"]).interval), rtol=1e-12, atol=0)
    assert len(bars) == 2  # one run or two have no interval
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert set(heights) == {"bn", "gbn", "gn", "$x_{"}
    assert abs(heights["bn"] - heights["gbn"]) > 0.02  # their points are in one place
    assert axes.get_xlabel() == "latency, ms\n(far below: fails 11.00)"
    with pytest.raises(ValueError, match="got runs of bn and costs of gn"):
        plot_tradeoff({"bn": [1.0]}, {"gn": 1.0}, "", "")
    with pytest.raises(ValueError, match="got runs of no model and costs of none"):
        plot_tradeoff({}, {}, "", "")
