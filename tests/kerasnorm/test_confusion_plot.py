from io import BytesIO

import numpy as np
import pytest
from matplotlib.axes import Axes

from kerasnorm import plot_confusion


def numbers(axes: Axes) -> dict[str, str]:
    """The texts within the matrix, by colour."""
    return {text.get_text(): str(text.get_color()) for text in axes.texts}


def test_counts_are_readable_and_zeros_are_faint() -> None:
    axes = plot_confusion([[970, 7, 0], [0, 1000, 0], [2, 0, 4]]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["970", "7", "0", "0", "1000", "0", "2", "0", "4"]
    assert numbers(axes) == {**dict.fromkeys(("970", "7", "1000", "2", "4"), "black"), "0": "0.8"}
    assert all(float(text.get_fontsize()) >= 8 for text in axes.texts)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "actual")


def test_errors_are_coloured_by_their_share_of_the_class() -> None:
    """1 of 10 images is a worse error than 5 of 1,000, and the diagonal has a colour of its own."""
    axes = plot_confusion([[995, 5, 0], [0, 10, 0], [1, 0, 9]]).axes[0]
    colors = np.asarray(axes.images[0].get_array())[..., :3]
    whiteness = colors.sum(axis=-1)
    assert whiteness[0, 2] == 3  # a zero is white
    assert whiteness[2, 0] < whiteness[0, 1] < 3
    assert len({tuple(colors[i, i]) for i in range(3)}) == 1
    assert colors[0, 0, 2] > colors[0, 0, 0]  # blue


def test_accuracy_of_each_class_is_on_the_right() -> None:
    figure = plot_confusion([[3, 1], [0, 0]], ["cat", "dog"])
    figure.savefig(BytesIO())
    (right,) = figure.axes[0].child_axes
    assert [label.get_text() for label in right.get_yticklabels()] == ["75.0 %", ""]


@pytest.mark.filterwarnings("error")
def test_names_of_any_script_and_length() -> None:
    figure = plot_confusion(np.eye(4), ["$x_{", "日本", "a\U0010ffff", "w" * 99], title="costs $5 " * 30)
    figure.savefig(BytesIO())
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == "$x_{"
    assert labels[2] == "a□"
    assert len(labels[3]) == 16


@pytest.mark.parametrize(
    ("classes", "numbered", "labels"), [(2, True, 2), (30, True, 30), (31, False, 31), (100, False, 100)]
)
def test_many_classes(classes: int, numbered: bool, labels: int) -> None:
    figure = plot_confusion(np.random.default_rng(0).integers(0, 90, (classes, classes)))
    axes = figure.axes[0]
    assert len(axes.texts) == (classes**2 if numbered else 0)
    assert len(axes.get_yticks()) == labels
    assert len(figure.axes) == (1 if numbered else 2)  # with a bar
    assert max(figure.get_size_inches()) < 15
    assert all(float(label.get_fontsize()) >= 5 for label in axes.get_yticklabels())


def test_of_a_thousand_classes_some_are_named() -> None:
    figure = plot_confusion(np.eye(1000, dtype=int))
    assert 100 < len(figure.axes[0].get_yticks()) < 200


def test_wrong_matrices_raise() -> None:
    for counts, got in (
        ([[1, 2]], "shape"),
        ([], "shape"),
        (5, "shape"),
        ([[-1]], "-1"),
        ([[float("nan")]], "nan"),
    ):
        with pytest.raises(
            ValueError, match=rf"counts: expected \(classes, classes\) numbers from 0, got {got}"
        ):
            plot_confusion(np.array(counts))
    with pytest.raises(ValueError, match="class_names: expected 2 names, one for each class, got 1"):
        plot_confusion([[1, 0], [0, 1]], ["one"])
