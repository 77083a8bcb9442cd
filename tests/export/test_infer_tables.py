import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.errors import UserError
from export.infer_tables import read_table, read_texts
from export.served_model import TEXT, Value

FLOAT = np.dtype("float32")
VECTOR = [Value("x", FLOAT, (None, 2))]
MIXED = [
    Value("age", FLOAT, (None, 1)),
    Value("colour", TEXT, (None, 1)),
    Value("code", np.dtype("int64"), (None,)),
    Value("old", np.dtype(bool), (None, 1)),
]


def table(folder: Path, text: str) -> str:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return str(folder / "t.csv")


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("a,b\n1,2\n3,4.5\n", (), [[1, 2], [3, 4.5]]),
        ("x[1],x[0],a\n1,2,9\n", (), [[2, 1]]),
        ("id,a,b\n7,1,2\n", ("b", "a"), [[2, 1]]),
        ("\ufeffa, b\r\n 1 ,-inf\r\n\r\n1e3,nan\r\n", (), [[1, -np.inf], [1000, np.nan]]),
        ("a,b\n", (), np.zeros((0, 2))),
    ],
)
def test_columns_of_a_single_input(
    text: str, columns: tuple[str, ...], expected: Any, tmp_path: Path
) -> None:
    array = read_table(table(tmp_path, text), VECTOR, columns)["x"]
    assert array.dtype == FLOAT
    np.testing.assert_array_equal(array, np.array(expected, FLOAT))


def test_any_number_of_columns(tmp_path: Path) -> None:
    assert read_table(table(tmp_path, "a,b,c\n1,2,3\n"), [Value("x", FLOAT, (None, None))])["x"].shape == (
        1,
        3,
    )


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('old,code,note,colour,age\ntrue,9007199254740993,-,"a, ""b""\nc",1.5\n0,3.0,-,,-2\n', ()),
        ('A,B,C,D\n1.5,"a, ""b""\nc",9007199254740993,TRUE\n-2,,3,False\n', ("A", "B", "C", "D")),
    ],
)
def test_columns_by_name_or_by_choice(text: str, columns: tuple[str, ...], tmp_path: Path) -> None:
    arrays = read_table(table(tmp_path, text), MIXED, columns)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "age": [[1.5], [-2.0]],
        "colour": [['a, "b"\nc'], [""]],
        "code": [9007199254740993, 3],
        "old": [[True], [False]],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected a table with the names of its columns in the first line, got an empty one"),
        ("1,2\n3,4\n", "expected the names of the columns in the first line, got numbers; add the names"),
        ("a,a\n1,2\n", "expected columns of different names, got two named 'a'"),
        (
            "a,b,c\n1,2,3\n",
            r"expected columns for the inputs \(2 for 'x'\), got 3: a, b, c; choose them with --columns",
        ),
        ("a,b\n1,2\n3\n", "expected 2 cells in line 3, got 1"),
        ("a,b\n1,\n", "expected a number that float32 can hold in line 2, column 'b', got ''"),
        ("a,b\n1,2\n\n1_0,2\n", "in line 4, column 'a', got '1_0'"),
        ("a,b\n1,1e39\n", "in line 2, column 'b', got '1e39'"),
        ('a,b\n1,"2\n', "expected comma-separated values, got unexpected end of data in line 2"),
    ],
)
def test_unusable_tables(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"t\.csv: .*{message}"):
        read_table(table(tmp_path, text), VECTOR)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "age,colour,old\n1,a,0\n",
            "expected a column 'code', got age, colour, old; rename it, or name the columns",
        ),
        ("age\n1\n", "expected a column 'colour' and 2 more, got age"),
        (
            "age,colour,code,old\n1,a,1.5,0\n",
            "expected a whole number from -9223372036854775808 to .*, got '1.5'",
        ),
        ("age,colour,code,old\n1,a,9223372036854775808,0\n", "got '9223372036854775808'"),
        ("age,colour,code,old\n1,a,1,yes\n", "expected true or false in line 2, column 'old', got 'yes'"),
    ],
)
def test_unusable_tables_for_several_inputs(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read_table(table(tmp_path, text), MIXED)


@pytest.mark.parametrize(
    ("inputs", "columns", "message"),
    [
        (
            [Value("x", FLOAT, (None, 2, 2))],
            (),
            r"expected a \.npz file, because a table has no rows for 'x' of float32",
        ),
        (
            [*MIXED, Value("x", FLOAT, (None, None))],
            (),
            r"input 'x' of float32 \(n, None\) has no fixed number of col",
        ),
        (VECTOR, ("a", "z"), "expected a column 'z', got a, b"),
        (MIXED, ("a", "b"), "expected columns for the inputs .*, got 2: a, b"),
    ],
)
def test_unusable_inputs_and_choices(
    inputs: list[Value], columns: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        read_table(table(tmp_path, "a,b\n1,2\n"), inputs, columns)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: expected a file, found nothing of that name"):
        read_table(str(tmp_path / "none.csv"), VECTOR)
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,\xff\n")
    with pytest.raises(UserError, match=r"t\.csv: expected text in UTF-8, got other bytes at position 6"):
        read_table(str(tmp_path / "t.csv"), VECTOR)


@pytest.mark.parametrize(
    ("shape", "expected"), [((None,), ["a b", "", "c"]), ((None, 1), [["a b"], [""], ["c"]])]
)
def test_texts(
    shape: tuple[int | None, ...], expected: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.txt").write_bytes(b"a b\r\n\r\nc\n")
    value = Value("text", TEXT, shape)
    assert read_texts(str(tmp_path / "t.txt"), [value])["text"].tolist() == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a b\n\nc")))
    assert read_texts("-", [value])["text"].tolist() == expected


@pytest.mark.parametrize("inputs", [VECTOR, MIXED, [Value("text", TEXT, (None, 2))]])
def test_texts_for_another_model(inputs: list[Value], tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"t\.txt: expected a model that takes one text a row, got one that takes "
    ):
        read_texts(str(tmp_path / "t.txt"), inputs)
