from pathlib import Path

import numpy as np
import pytest

from kerasnorm.confusion import Confusion, add, read_confusion, write_confusion

NAMES = ("cat", 'a "dog", old', "日本\nx")
COUNTS = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])


def test_confusion_csv_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "confusion.csv"
    write_confusion(file, Confusion(NAMES, COUNTS))
    found = read_confusion(file)
    assert found is not None
    assert found.class_names == NAMES
    np.testing.assert_array_equal(found.counts, COUNTS)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("class,images,accuracy,predicted cat,")
    assert "cat,4,0.750000,3,1,0" in lines
    assert '"a ""dog"", old",0,,0,0,0' in lines  # a class without images has no accuracy


def test_accuracy_of_each_class() -> None:
    found = Confusion(NAMES, COUNTS)
    np.testing.assert_array_equal(found.images, [4, 0, 2])
    np.testing.assert_allclose(found.accuracies, [0.75, np.nan, 0.5], rtol=1e-12, atol=0)


def test_sum_of_confusion_matrices() -> None:
    one = Confusion(NAMES, COUNTS)
    total = add([one, one, one])
    assert total is not None
    np.testing.assert_array_equal(total.counts, 3 * COUNTS)
    assert add([]) is None
    assert add([one, Confusion(("a", "b"), np.eye(2, dtype=int))]) is None


def test_no_file(tmp_path: Path) -> None:
    assert read_confusion(tmp_path / "confusion.csv") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "class\n",
        "h\na,1,1,1,2\n",
        "h\na,1,1,x\n",
        "h\na,1,1,-1\n",
        "h\na,1,1,1,2\nb,1,1,1\n",
        "h\n\n",
        "h\na\n",
    ],
)
def test_damaged_files(text: str, tmp_path: Path) -> None:
    file = tmp_path / "confusion.csv"
    file.write_text(text)
    with pytest.raises(
        ValueError, match=r"confusion\.csv: expected a row .*, got .*; remove the file to go on"
    ):
        read_confusion(file)
