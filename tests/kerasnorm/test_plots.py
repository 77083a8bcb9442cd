from io import BytesIO

import numpy as np
import pytest
from matplotlib.lines import Line2D

from kerasnorm import plot_curves, plot_overlaid, plot_settings
from kerasnorm.plots import plot_runs

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


def test_curves_without_validation() -> None:
    loss, accuracy = plot_curves({key: HISTORY[key] for key in ("loss", "accuracy")}).axes
    for axes in (loss, accuracy):
        assert [line.get_label() for line in axes.lines] == ["train"]
    np.testing.assert_allclose(y_of(accuracy.lines[0]), [70, 80, 90])


def test_curves_with_validation_every_other_epoch() -> None:
    loss = plot_curves({"loss": [4.0, 3.0, 2.0, 1.0, 0.5], "val_loss": [3.5, 1.5]}).axes[0]
    assert np.asarray(loss.lines[1].get_xdata()).tolist() == [2, 4]
    assert y_of(loss.lines[1]).tolist() == [3.5, 1.5]


@pytest.mark.parametrize(
    ("keys", "label", "value"),
    [
        (("mae", "binary_accuracy", "val_mae", "val_binary_accuracy"), "binary accuracy, %", 50),
        (("auc", "accuracy"), "accuracy, %", 50),
        (("acc",), "acc, %", 50),
        (("mae", "val_mae"), "mae", 0.5),
    ],
)
def test_curves_of_another_metric(keys: tuple[str, ...], label: str, value: float) -> None:
    axes = plot_curves({"loss": [1.0, 0.5], **{key: [0.5, 0.5] for key in keys}}).axes[1]
    assert axes.get_ylabel() == label
    assert y_of(axes.lines[0]).tolist() == [value, value]
    assert len(axes.lines) == (2 if any(key.startswith("val_") for key in keys) else 1)


def test_curves_of_the_loss_alone() -> None:
    figure = plot_curves({"loss": [1.0, -0.5], "learning_rate": [0.1, 0.1]})
    assert len(figure.axes) == 1
    assert figure.axes[0].get_yscale() == "linear"
    figure.savefig(BytesIO())
    histories: list[dict[str, list[float]]] = [{}, {"accuracy": [0.5]}, {"loss": []}]
    for history in histories:
        with pytest.raises(ValueError, match="plot_curves: expected loss in the history, got"):
            plot_curves(history)


@pytest.mark.parametrize("name", ["costs $5", "$x_{$", "$\\frac$", "日本語 ελληνικά", "x" * 300])
def test_names_are_drawn_as_they_are(name: str, recwarn: pytest.WarningsRecorder) -> None:
    for figure in (
        plot_curves(HISTORY, name),
        plot_overlaid({name: [[1.0, 2.0]]}, name, name),
        plot_settings({name: {name: [1.0]}}, name, name, name),
    ):
        figure.savefig(BytesIO())
    assert [str(warning.message) for warning in recwarn] == []


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


def test_no_legend_covers_a_curve() -> None:
    """The names are below the axes, however many there are, and each curve has a look of its own."""
    for count in (1, 3, 10, 20):
        figure = plot_overlaid({f"model {index}": [[98.0, 99.0]] for index in range(count)}, "accuracy, %")
        figure.savefig(BytesIO())
        (axes,), (legend,) = figure.axes, figure.legends
        assert legend.get_window_extent().y1 <= axes.get_window_extent().y0
        assert legend.get_window_extent().x0 >= 0
        assert legend.get_window_extent().x1 <= figure.bbox.x1
        looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
        assert len(looks) == len(legend.get_texts()) == count


def test_axis_of_an_accuracy_shows_the_range_that_matters() -> None:
    """From the second quarter of the training on, half a point at least, and every last value."""
    run = [10.0, 90.0, 99.0, 99.1, 99.2, 99.3, 99.2, 99.25]
    low, high = plot_overlaid({"one": [run]}, "accuracy, %").axes[0].get_ylim()
    assert 98.5 < low < 99.0
    assert 99.3 < high < 99.5
    flat = plot_overlaid({"one": [[99.3] * 8]}, "accuracy, %").axes[0].get_ylim()
    assert flat[1] - flat[0] >= 0.5
    fails = plot_overlaid(
        {"one": [run], "two": [[10.0] * 8], "three": [run, [*run[:-1], 5.0]]}, "accuracy, %"
    )
    assert fails.axes[0].get_ylim()[0] < 5
    fractions = {"loss": [1.0] * 8, "accuracy": [value / 100 for value in run]}
    low, high = plot_curves(fractions).axes[1].get_ylim()
    assert 98.5 < low < 99.0
    assert 99.3 < high < 99.5


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
