"""What `python -m export.infer` prints of a model's outputs, and the files that it writes; NumPy is all it needs."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.classifier import Prediction
from export.errors import UserError
from export.files import write_whole
from export.terminal import escape

FEW = 8  # values of a row that are printed one by one
ENDINGS = (".npz", ".csv")
Outputs = Mapping[str, np.ndarray]


def prediction_text(prediction: Prediction) -> str:
    """The classes of a row on one line."""
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    if prediction.are_scores:
        classes = [f"{name} score {value:.5g}" for name, value in pairs]
    else:
        classes = [f"{name} {100 * value:.2f} %" for name, value in pairs]
    return escape(f"{prediction.name}: {', '.join(classes)}")


def prediction_json(prediction: Prediction) -> str:
    """A JSON object on one line."""
    kind = "score" if prediction.are_scores else "probability"
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    return _json(
        {"name": prediction.name, "classes": [{"class": name, kind: value} for name, value in pairs]}
    )


def row_texts(names: Sequence[str], outputs: Outputs) -> list[str]:
    """The values of each row on one line: NAME: OUTPUT VALUES; OUTPUT VALUES.

    An output that has no row for each name is on a line of its own.
    """
    by_row, others = _split(names, outputs)
    lines = [
        escape(f"{name}: {'; '.join(f'{key} {_text(array[index])}' for key, array in by_row.items())}")
        for index, name in enumerate(names)
        if by_row
    ]
    return [*lines, *(escape(f"{key} {_text(array)}") for key, array in others.items())]


def row_jsons(names: Sequence[str], outputs: Outputs) -> list[str]:
    """A JSON object for each row, and one for the outputs that have no row for each name."""
    by_row, others = _split(names, outputs)
    rows: list[dict[str, Any]] = [
        {"name": name, "outputs": {key: np.asarray(array[index]).tolist() for key, array in by_row.items()}}
        for index, name in enumerate(names)
        if by_row
    ]
    if others:
        rows.append({"name": None, "outputs": {key: array.tolist() for key, array in others.items()}})
    return [_json(row) for row in rows]


def write_outputs(path: Path, names: Sequence[str], outputs: Outputs) -> None:
    """Write all rows to a `.npz` file, an array for each output, or to a `.csv` file, a line for each row.

    Raises:
        UserError: the outputs are no table, or the file can't be written.
    """
    if path.suffix.lower() == ".npz":
        write_whole(path, lambda temporary: _write_npz(temporary, outputs))
        return
    bad = next(
        (key for key, array in outputs.items() if array.ndim > 2 or array.shape[:1] != (len(names),)), None
    )
    if bad is not None:
        raise UserError(
            f"{path}: expected outputs of one value or one list of values a row for a .csv file, got {bad!r} of shape "
            f"{outputs[bad].shape}; write a .npz file"
        )
    write_whole(path, lambda temporary: _write_csv(temporary, names, outputs))


def joined(path: Path, parts: Sequence[Outputs]) -> Outputs:
    """The outputs of several files, one after the other.

    Raises:
        UserError: they have other shapes than each other.
    """
    if len(parts) == 1:
        return parts[0]
    result = {}
    for key in parts[0]:
        arrays = [outputs[key] for outputs in parts]
        if len({array.shape[1:] for array in arrays}) > 1 or not all(array.ndim for array in arrays):
            shapes = ", ".join(str(array.shape) for array in arrays[:4])
            raise UserError(
                f"{path}: expected output {key!r} of one shape for all files, got {shapes}; write a file for each"
            )
        result[key] = np.concatenate(arrays)
    return result


def nan_notes(names: Sequence[str], outputs: Outputs) -> list[str]:
    """A line for each output with NaN."""
    notes = []
    for key, array in outputs.items():
        is_nan = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
        if not is_nan.any():
            continue
        if array.shape[:1] == (len(names),):
            rows = is_nan.reshape(len(names), -1).any(axis=1)
            count = f"{rows.sum():,} row{'s' if rows.sum() > 1 else ''}"
            notes.append(f"warning: output {key!r} is NaN for {count}, first for {names[int(rows.argmax())]}")
        else:
            notes.append(f"warning: output {key!r} is NaN")
    return notes


def _split(names: Sequence[str], outputs: Outputs) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The outputs with a row for each name, and the others."""
    by_row = {key: array for key, array in outputs.items() if array.shape[:1] == (len(names),)}
    return by_row, {key: array for key, array in outputs.items() if key not in by_row}


def _text(value: Any) -> str:
    array = np.asarray(value)
    if array.size <= FEW:
        return _few(array)
    kind = "strings" if array.dtype == object else str(array.dtype)
    if array.dtype.kind not in "uif":
        return f"{kind} {array.shape}"
    finite = array[np.isfinite(array)]
    if not finite.size:
        return f"{kind} {array.shape}, no finite value"
    return f"{kind} {array.shape}, {finite.min():.5g} to {finite.max():.5g}"


def _few(array: np.ndarray) -> str:
    if array.ndim:
        return f"[{', '.join(map(_few, array))}]"
    item = array.item()
    if isinstance(item, bool):
        return str(item).lower()
    return f"{item:.5g}" if isinstance(item, float) else json.dumps(item, ensure_ascii=False)


def _json(row: Mapping[str, Any]) -> str:
    """JSON on one line without control characters; null for NaN and infinity, which JSON doesn't have."""
    text = json.dumps(_finite(row), allow_nan=False)
    return text.replace("\x7f", r"\u007f")  # DEL, the one control character that JSON allows as it is


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_npz(path: Path, outputs: Outputs) -> None:
    # numpy.savez takes names as arguments, and has some of its own.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in outputs.items():
            array = array.astype(str) if array.dtype == object else array
            with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def _write_csv(path: Path, names: Sequence[str], outputs: Outputs) -> None:
    header = ["name"]
    for key, array in outputs.items():
        is_list = array.ndim == 2 and array.shape[1] != 1
        header += [f"{key}[{index}]" for index in range(array.shape[1])] if is_list else [key]
    columns = [array.reshape(len(names), -1) for array in outputs.values()]
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for index, name in enumerate(names):
            writer.writerow([name, *(_cell(item) for column in columns for item in column[index].tolist())])


def _cell(item: Any) -> str:
    return str(item).lower() if isinstance(item, bool) else str(item)
