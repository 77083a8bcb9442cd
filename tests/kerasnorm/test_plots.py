from io import BytesIO

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from kerasnorm import plot_curves, plot_misclassified, plot_settings, plot_shared, unnormalize
from kerasnorm.workbook import Example

HISTORY = {
    "loss": [1.0, 0.5, 0.4],
    "val_loss": [0.9, 0.6, 0.5],
    "accuracy": [0.7, 0.8, 0.9],
    "val_accuracy": [0.75, 0.85, 0.88],
    "learning_rate": [0.1, 0.1, 0.01],
}


def test_curves_hold_the_history() -> None:
    figure = plot_curves(HISTORY, "a title")
    loss, accuracy = figure.axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), HISTORY["loss"])
    np.testing.assert_allclose(loss.lines[1].get_ydata(), HISTORY["val_loss"])
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [75, 85, 88])
    assert [text.get_text() for text in loss.texts] == ["lr 0.01"]
    assert loss.lines[2].get_xdata() == [2.5, 2.5]
    styles = {(line.get_color(), line.get_linestyle()) for line in loss.lines[:2]}
    assert len({color for color, _ in styles}) == len({style for _, style in styles}) == 2


def test_curves_prefer_the_loss_without_penalties() -> None:
    history = {**HISTORY, "cross_entropy": [3.0, 2.0, 1.0], "val_cross_entropy": [3.0, 2.0, 1.5]}
    loss = plot_curves(history).axes[0]
    assert loss.get_ylabel() == "cross-entropy"
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [3, 2, 1])


def test_curves_refuse_an_incomplete_history() -> None:
    with pytest.raises(ValueError, match="expected val_accuracy in the history"):
        plot_curves({key: values for key, values in HISTORY.items() if key != "val_accuracy"})


@pytest.mark.parametrize("count", [0, 1, 4, 7, 25, 30])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_canvas_of_any_number_of_images(count: int, channels: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28, *channels), np.uint8)
    figure = plot_misclassified(images, np.full(count, 6), np.full(count, 5))
    captions = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert captions == ["pred=6 act=5"] * min(count, 25)
    if count == 0:
        assert figure.axes[0].texts[0].get_text() == "no misclassified images"
    else:
        shown = np.asarray(figure.axes[0].images[0].get_array())
        np.testing.assert_array_equal(shown, images[0].squeeze())
    figure.savefig(BytesIO(), format="png")


def test_canvas_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(ValueError, match="2 images, 1 predictions and 2 labels"):
        plot_misclassified(np.zeros((2, 4, 4), np.uint8), [1], [1, 2])
    with pytest.raises(ValueError, match=r"expected uint8, or floats of 0..1, got float64 of -1..1"):
        plot_misclassified(np.array([[[-1.0, 1.0]]]), [1], [1])
    with pytest.raises(ValueError, match="with 1 or 3 channels behind or none"):
        plot_misclassified(np.zeros((2, 4, 4, 2), np.uint8), [1, 1], [1, 2])


def test_unnormalize_undoes_the_normalization() -> None:
    rng = np.random.default_rng(0)
    grey = rng.uniform(0, 1, (3, 5, 5, 1))
    np.testing.assert_allclose(
        unnormalize((grey - 0.1307) / 0.3081, 0.1307, 0.3081), grey, rtol=0, atol=1e-12
    )
    mean, std = np.array([0.49, 0.48, 0.45]), np.array([0.25, 0.24, 0.26])
    rgb = rng.uniform(0, 1, (3, 5, 5, 3))
    np.testing.assert_allclose(unnormalize((rgb - mean) / std, mean, std), rgb, rtol=0, atol=1e-12)
    assert unnormalize(np.array([[9.0, -9.0]], np.float32), 0.5, 0.5).tolist() == [[1, 0]]
    with pytest.raises(ValueError, match="or one for each of the 1 channels"):
        unnormalize(grey, mean, std)


def test_settings_show_means_and_every_run() -> None:
    values = {"bn": {"2": [90.0, 92.0], "8": [95.0, 97.0]}, "gn": {"2": [96.0, 96.5], "8": [97.0, 98.0]}}
    axes = plot_settings(values, "batch size", "accuracy, %").axes[0]
    lines = [line for line in axes.lines if line.get_label() in values]
    np.testing.assert_allclose(lines[0].get_ydata(), [91, 96])
    np.testing.assert_allclose(lines[1].get_ydata(), [96.25, 97.5])
    dots = [line for line in axes.lines if line not in lines]
    assert sorted(value for line in dots for value in line.get_ydata()) == sorted(
        value for of_norm in values.values() for runs in of_norm.values() for value in runs
    )
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "8"]
    with pytest.raises(ValueError, match="expected the same settings for each model"):
        plot_settings({"bn": {"2": [1.0]}, "gn": {"8": [1.0]}}, "", "")


def test_shared_values_have_one_colour_for_each_set() -> None:
    example = Example(images=2, channels=4, groups=2)
    figure = plot_shared(example.values()[0], example.sets("gn"))
    axes = figure.axes[0]
    assert len(axes.patches) == 2 * 4 * 2 * 2
    squares = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    colours = {square.get_xy(): square.get_facecolor() for square in squares}
    assert len(set(colours.values())) == 4
    assert colours[0, 0] == colours[3.5, 1] != colours[5, 0]  # channels 1 and 2, then 3 of the first image
    assert axes.texts[0].get_text() == str(example.values()[0, 0, 0, 0, 0])
