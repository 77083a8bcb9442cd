import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.classifier import Prediction
from export.errors import UserError
from export.infer_output import (
    joined,
    nan_notes,
    prediction_json,
    prediction_text,
    row_jsons,
    row_texts,
    write_outputs,
)

NAMES = ["a", "b\n"]
OUTPUTS: dict[str, np.ndarray] = {
    "price": np.array([[1.25], [np.nan]], np.float32),
    "pair": np.array([[1, 2], [3, 4]]),
    "word": np.array(["\u00e9", "x\x1b"], object),
    "ok": np.array([True, False]),
}


def test_values_as_text() -> None:
    assert row_texts(NAMES, OUTPUTS) == [
        'a: price [1.25]; pair [1, 2]; word "\u00e9"; ok true',
        'b\\n: price [nan]; pair [3, 4]; word "x\\u001b"; ok false',
    ]


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.arange(9.0).reshape(1, 3, 3), "float64 (3, 3), 0 to 8"),
        (np.full((1, 9), np.nan), "float64 (9,), no finite value"),
        (np.full((1, 9), "x", object), "strings (9,)"),
        (np.ones((1, 9), bool), "bool (9,)"),
    ],
)
def test_many_values_are_summed_up(array: np.ndarray, text: str) -> None:
    assert row_texts(["a"], {"y": array}) == [f"a: y {text}"]


def test_values_as_json() -> None:
    rows = [json.loads(line) for line in row_jsons(NAMES, OUTPUTS)]
    assert rows[0] == {
        "name": "a",
        "outputs": {"price": [1.25], "pair": [1, 2], "word": "\u00e9", "ok": True},
    }
    assert rows[1]["name"] == "b\n"
    assert rows[1]["outputs"]["price"] == [None]


def test_outputs_without_rows() -> None:
    outputs = {"y": np.array([1.0, 2.0]), "total": np.array(3.0)}
    assert row_texts(["a", "b"], outputs) == ["a: y 1", "b: y 2", "total 3"]
    assert json.loads(row_jsons(["a", "b"], outputs)[2]) == {"name": None, "outputs": {"total": 3.0}}
    assert row_texts(["a", "b"], {"total": np.array(3.0)}) == ["total 3"]


def test_predictions() -> None:
    prediction = Prediction("a\x7f", ("cat", "dog"), (0.75, 0.25))
    assert prediction_text(prediction) == r"a\x7f: cat 75.00 %, dog 25.00 %"
    assert prediction_json(prediction).startswith(
        r'{"name": "a\u007f", "classes": [{"class": "cat", "probability": 0.75}'
    )
    assert prediction_text(Prediction("a", ("cat",), (12.0,), True)) == "a: cat score 12"


def test_csv_file(tmp_path: Path) -> None:
    write_outputs(tmp_path / "out.csv", NAMES, OUTPUTS)
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["name", "price", "pair[0]", "pair[1]", "word", "ok"],
            ["a", "1.25", "1", "2", "\u00e9", "true"],
            ["b\n", "nan", "3", "4", "x\x1b", "false"],
        ]
    for array in (np.zeros((2, 1, 1)), np.array(1.0), np.zeros(3)):
        with pytest.raises(
            UserError, match=r"other\.csv: expected outputs .*, got 'y' of shape .*; write a \.npz file"
        ):
            write_outputs(tmp_path / "other.csv", NAMES, {"y": array})
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_npz_file_needs_no_pickle_and_takes_any_name(tmp_path: Path) -> None:
    outputs: dict[str, Any] = {**OUTPUTS, "file": np.array(1), "a/b": np.ones((2, 3, 4))}
    write_outputs(tmp_path / "out.npz", NAMES, outputs)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == sorted(outputs)
        for name, array in outputs.items():
            np.testing.assert_array_equal(arrays[name], array.astype(str) if array.dtype == object else array)


def test_outputs_of_several_files() -> None:
    one, two = {"y": np.ones((2, 3))}, {"y": np.zeros((1, 3))}
    assert joined(Path("out"), [one, two])["y"].shape == (3, 3)
    assert joined(Path("out"), [one]) is one
    for other in (np.zeros((1, 4)), np.array(1.0)):
        with pytest.raises(
            UserError, match=r"out: expected output 'y' of one shape for all files, got \(2, 3\), \("
        ):
            joined(Path("out"), [one, {"y": other}])


def test_notes_about_nan() -> None:
    outputs = {**OUTPUTS, "total": np.array(np.nan)}
    assert nan_notes(["a", "b"], outputs) == [
        "warning: output 'price' is NaN for 1 row, first for b",
        "warning: output 'total' is NaN",
    ]
