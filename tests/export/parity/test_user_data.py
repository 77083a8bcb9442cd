"""The user's inputs from a .npz file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.convert import convert
from export.errors import UserError
from export.parity import check_parity, load_check_data, load_labels
from kerasnorm import build_cnn
from tests.export.helpers import randomize


def test_check_data_of_the_right_shape(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    model = randomize(build_cnn("bn"))
    files: list[dict[str, Any]] = [
        {"x_test": images, "y": images[:, 0, 0]},
        {"image": images[..., None]},
        {"other": images},
    ]
    for arrays in files:
        np.savez(tmp_path / "data.npz", **arrays)
        [array] = load_check_data(str(tmp_path / "data.npz"), model)
        np.testing.assert_array_equal(array[..., 0], images)
    parity = check_parity(model, convert(model), data=[array])
    assert parity.passed


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x": np.zeros((3, 20, 20))},
            r"expected numbers of shape \('n', 28, 28, 1\) for input 'image', got float64",
        ),
        ({"x": np.zeros((0, 28, 28, 1))}, "expected numbers of shape"),
        ({"x": np.full((3, 28, 28), "a")}, "expected numbers of shape"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, "expected an array named image, x_test or x, got a, b"),
        ({"x": np.array([None])}, "it holds pickled objects"),
    ],
)
def test_check_data_that_cannot_be_used(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load_check_data(str(tmp_path / "data.npz"), build_cnn("bn"))


def test_labels(tmp_path: Path) -> None:
    path = str(tmp_path / "data.npz")
    np.savez(path, x=np.zeros((3, 2)), y=np.arange(3))
    assert load_labels(path, 3).tolist() == [0, 1, 2]  # type: ignore[union-attr]
    np.savez(path, x_test=np.zeros((3, 2)), y=np.arange(5), y_test=np.arange(3))
    assert load_labels(path, 3).tolist() == [0, 1, 2]  # type: ignore[union-attr]
    np.savez(path, x=np.zeros((3, 2)))
    assert load_labels(path, 3) is None


@pytest.mark.parametrize("labels", [np.arange(4), np.array(1), np.array(["a", "b", "c"])])
def test_labels_that_cannot_be_used(tmp_path: Path, labels: np.ndarray) -> None:
    path = str(tmp_path / "data.npz")
    np.savez(path, x=np.zeros((3, 2)), y=labels)
    with pytest.raises(UserError, match=r"expected labels for 3 rows, numbers of shape \(3, ...\), got"):
        load_labels(path, 3)
