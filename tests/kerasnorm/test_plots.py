import numpy as np
import pytest
from matplotlib.lines import Line2D

from kerasnorm import plot_curves, plot_overlaid, plot_settings

HISTORY = {
    "loss": [1.0, 0.5, 0.4],
    "val_loss": [0.9, 0.6, 0.5],
    "accuracy": [0.7, 0.8, 0.9],
    "val_accuracy": [0.75, 0.85, 0.88],
    "learning_rate": [0.1, 0.1, 0.01],
}


def y_of(line: Line2D) -> np.ndarray:
    """The vertical coordinates of a line."""
    return np.asarray(line.get_ydata())


def test_curves_show_the_history() -> None:
    figure = plot_curves(HISTORY, "a title")
    loss, accuracy = figure.axes
    np.testing.assert_allclose(y_of(loss.lines[0]), HISTORY["loss"])
    np.testing.assert_allclose(y_of(loss.lines[1]), HISTORY["val_loss"])
    np.testing.assert_allclose(y_of(accuracy.lines[1]), [75, 85, 88])
    assert [text.get_text() for text in loss.texts] == ["lr 0.01"]
    assert loss.lines[2].get_xdata() == [2.5, 2.5]
    styles = {(line.get_color(), line.get_linestyle()) for line in loss.lines[:2]}
    assert len({color for color, _ in styles}) == len({style for _, style in styles}) == 2


def test_curves_prefer_the_loss_without_penalties() -> None:
    history = {**HISTORY, "cross_entropy": [3.0, 2.0, 1.0], "val_cross_entropy": [3.0, 2.0, 1.5]}
    loss = plot_curves(history).axes[0]
    assert loss.get_ylabel() == "cross-entropy"
    np.testing.assert_allclose(y_of(loss.lines[0]), [3, 2, 1])


def test_curves_of_incomplete_history() -> None:
    with pytest.raises(ValueError, match="expected val_accuracy in the history"):
        plot_curves({key: values for key, values in HISTORY.items() if key != "val_accuracy"})


def test_overlaid_shows_means_and_ranges() -> None:
    values = {"one": [[90.0, 98.0], [92.0, 99.0]], "two": [[80.0, 97.0]]}
    axes = plot_overlaid(values, "accuracy, %", "a title").axes[0]
    assert [line.get_label() for line in axes.lines] == ["one", "two"]
    np.testing.assert_allclose(y_of(axes.lines[0]), [91, 98.5])
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in np.asarray(band)} == {(1, 90), (1, 92), (2, 98), (2, 99)}
    assert (
        len({line.get_color() for line in axes.lines})
        == len({line.get_linestyle() for line in axes.lines})
        == 2
    )
    assert axes.get_title() == "a title"
    losses = plot_overlaid({"one": [[0.3, 0.1]]}, "loss").axes[0]
    assert (losses.get_yscale(), axes.get_yscale()) == ("log", "linear")
    unusable_values: list[dict[str, list[list[float]]]] = [{}, {"one": [[1], [1, 2]]}, {"one": [[]]}]
    for unusable in unusable_values:
        with pytest.raises(ValueError, match="expected runs of equal length for each model, got"):
            plot_overlaid(unusable, "loss")


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
