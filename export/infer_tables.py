"""Tables (`.csv`) and texts (`.txt`, or standard input) for the inputs of a model; NumPy is all it needs.

An input of one value a row takes the column of its name. An input of N values takes the columns NAME[0] to
NAME[N-1]; if it is the only input, it takes all columns in order, whatever their names are.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np

from export.errors import UserError
from export.served_model import TEXT, Value

BOOLS = {"true": True, "false": False, "1": True, "0": False}


def read_table(path: str, inputs: Sequence[Value], columns: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Read a table whose first line names its columns.

    Args:
        path: the file.
        inputs: the inputs of the model.
        columns: the columns for the inputs, in order; empty to find them by name.

    Returns:
        An array for each input, by name.

    Raises:
        UserError: a column is missing, a cell is not of the input's dtype, or the file is no table.
    """
    lines = _read_rows(path)
    header = [name.strip() for name in lines[0][1]] if lines else []
    if not header or not any(header):
        raise UserError(
            f"{path}: expected a table with the names of its columns in the first line, got an empty one"
        )
    if all(_is_number(name) for name in header):
        raise UserError(
            f"{path}: expected the names of the columns in the first line, got numbers; add the names"
        )
    double = next((name for name in header if header.count(name) > 1), None)
    if double is not None:
        raise UserError(f"{path}: expected columns of different names, got two named {double!r}")
    chosen = _columns_of(path, inputs, header, columns)
    rows = lines[1:]
    for number, row in rows:
        if len(row) != len(header):
            raise UserError(f"{path}: expected {len(header)} cells in line {number}, got {len(row)}")
    return {
        value.name: _parse(path, value, rows, [(name, header.index(name)) for name in chosen[value.name]])
        for value in inputs
    }


def read_texts(path: str, inputs: Sequence[Value]) -> dict[str, np.ndarray]:
    """Read a text for each row, a line each; '-' is standard input.

    Raises:
        UserError: the model takes other inputs than one text a row, or the file can't be read.
    """
    value = inputs[0]
    if len(inputs) > 1 or value.dtype != TEXT or _features(value) != 1:
        listed = "; ".join(map(str, inputs))
        raise UserError(f"{path}: expected a model that takes one text a row, got one that takes {listed}")
    content = sys.stdin.buffer.read() if path == "-" else _read(path)
    lines = _decode(path, content).replace("\r\n", "\n").removesuffix("\n").split("\n")
    return {value.name: _shaped(value, np.array(lines, TEXT)[:, np.newaxis])}


def _columns_of(
    path: str, inputs: Sequence[Value], header: Sequence[str], chosen: Sequence[str]
) -> dict[str, list[str]]:
    """The columns for each input."""
    wide = next((value for value in inputs if len(value.shape) > 2), None)
    if wide is not None:
        raise UserError(f"{path}: expected a .npz file, because a table has no rows for {wide}")
    missing = [name for name in chosen if name not in header]
    if missing:
        raise UserError(f"{path}: expected a column {missing[0]!r}, got {', '.join(header)}")
    if chosen or (len(inputs) == 1 and not _has_own(inputs[0], header)):
        return _in_order(path, inputs, chosen or header)
    result = {}
    for value in inputs:
        features = _features(value)
        if features is None:
            raise UserError(
                f"{path}: expected a .npz file, because input {value} has no fixed number of columns"
            )
        result[value.name] = _own_names(value.name, features)
    names = [name for group in result.values() for name in group]
    missing = [name for name in names if name not in header]
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise UserError(
            f"{path}: expected a column {missing[0]!r}{more}, got {', '.join(header)}; rename it, or name the columns "
            "in the order of the inputs with --columns"
        )
    return result


def _in_order(path: str, inputs: Sequence[Value], columns: Sequence[str]) -> dict[str, list[str]]:
    counts = [_features(value) for value in inputs]
    if counts == [None]:
        return {inputs[0].name: list(columns)}
    wanted = sum(count or 0 for count in counts)
    if None in counts or wanted != len(columns):
        listed = ", ".join(f"{count} for {value.name!r}" for value, count in zip(inputs, counts, strict=True))
        raise UserError(
            f"{path}: expected columns for the inputs ({listed}), got {len(columns)}: {', '.join(columns)}; "
            "choose them with --columns"
        )
    result, start = {}, 0
    for value, count in zip(inputs, counts, strict=True):
        result[value.name] = list(columns[start : start + (count or 0)])
        start += count or 0
    return result


def _features(value: Value) -> int | None:
    """How many numbers or texts of a row an input takes; None for any number."""
    return value.shape[1] if len(value.shape) == 2 else 1


def _own_names(name: str, features: int) -> list[str]:
    return [name] if features == 1 else [f"{name}[{index}]" for index in range(features)]


def _has_own(value: Value, header: Sequence[str]) -> bool:
    features = _features(value)
    return features is not None and all(name in header for name in _own_names(value.name, features))


def _parse(
    path: str, value: Value, rows: Sequence[tuple[int, list[str]]], columns: Sequence[tuple[str, int]]
) -> np.ndarray:
    parse, what = _parser(value.dtype)
    result: np.ndarray = np.empty((len(rows), len(columns)), value.dtype)
    for index, (number, row) in enumerate(rows):
        for position, (name, column) in enumerate(columns):
            try:
                result[index, position] = parse(row[column])
            except (ValueError, KeyError, ArithmeticError):
                raise UserError(
                    f"{path}: expected {what} in line {number}, column {name!r}, got {row[column]!r:.60}"
                ) from None
    return _shaped(value, result)


def _parser(dtype: np.dtype) -> tuple[Callable[[str], object], str]:
    """What turns a cell into a value of a dtype, and the name of that dtype for error messages."""
    if dtype == TEXT:
        return str, "text"
    if dtype.kind == "b":
        return lambda cell: BOOLS[cell.strip().lower()], "true or false"
    if dtype.kind == "f":
        return lambda cell: _float(cell, float(np.finfo(dtype).max)), f"a number that {dtype} can hold"
    limits = np.iinfo(dtype)
    return (
        lambda cell: _integer(cell, limits.min, limits.max),
        f"a whole number from {limits.min} to {limits.max}",
    )


def _float(cell: str, largest: float) -> float:
    number = float(_plain(cell))
    if abs(number) > largest and abs(number) != float("inf"):
        raise OverflowError(cell)
    return number


def _integer(cell: str, lowest: int, highest: int) -> int:
    number = Decimal(_plain(cell))  # spreadsheets write 3 as 3.0
    if not lowest <= number <= highest or number != number.to_integral_value():
        raise OverflowError(cell)
    return int(number)


def _plain(cell: str) -> str:
    if "_" in cell:  # Python reads 1_000 as a number
        raise ValueError(cell)
    return cell.strip()


def _shaped(value: Value, table: np.ndarray) -> np.ndarray:
    """Rows and columns as an input has them, which may have no axis of columns."""
    return table if len(value.shape) == 2 else table[:, 0]


def _read_rows(path: str) -> list[tuple[int, list[str]]]:
    """The rows of a table, each with the number of its last line; empty lines are left out."""
    text = _decode(path, _read(path))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise UserError(
            f"{path}: expected comma-separated values, got {error} in line {reader.line_num}"
        ) from error


def _read(path: str) -> bytes:
    if not Path(path).is_file():
        raise UserError(f"{path}: expected a file, found nothing of that name")
    return Path(path).read_bytes()


def _decode(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: expected text in UTF-8, got other bytes at position {error.start:,}"
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
