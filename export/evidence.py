"""The file that carries a model's parity check to where the model is served: `MODEL.check.zip`.

It has the layout of the ONNX project's test cases, so that its tools read it too:

    test_data_set_0/input_0.pb    the inputs of the graph
    test_data_set_0/output_0.pb   the true outputs, in float64
    check.json                    of each set: what the inputs are, and for each output the numbers a and b of its
                                  allowance: a value may be off by a + b |true value|

NumPy alone is needed.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import UserError, one_line
from export.files import write_whole
from export.tensor_proto import decode, encode

LARGEST_MEMBER = 2**29  # bytes; what a file from a stranger may take


@dataclass(frozen=True)
class Example:
    """Some inputs of a graph and their true outputs.

    Attributes:
        kind: what the inputs are.
        inputs: an array for each input of the graph, by name.
        outputs: the true values of each output.
        allowances: for each output, a and b: a value may be off by a + b |true value|.
    """

    kind: str
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    allowances: dict[str, tuple[float, float]]


def evidence_path(model: Path) -> Path:
    """The path of a model's check: beside it."""
    return model.with_name(f"{model.stem}.check.zip")


def write_evidence(path: Path, examples: Sequence[Example], oracle: str) -> None:
    """Write examples.

    Raises:
        UserError: the file can't be written.
    """

    def write(temporary: Path) -> None:
        sets = []
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
            for index, example in enumerate(examples):
                for role, arrays in (("input", example.inputs), ("output", example.outputs)):
                    for number, (name, array) in enumerate(arrays.items()):
                        file.writestr(f"test_data_set_{index}/{role}_{number}.pb", encode(array, name))
                counts = {"inputs": len(example.inputs), "outputs": len(example.outputs)}
                sets.append({"kind": example.kind, **counts, "allowances": example.allowances})
            file.writestr("check.json", json.dumps({"oracle": oracle, "sets": sets}, indent=1))

    write_whole(path, write)


def read_evidence(path: Path) -> tuple[list[Example], str]:
    """The examples, and what their outputs were computed by.

    Raises:
        UserError: the file is missing, damaged or none of this kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: expected a model's check, found no file of that name; name it with --check")
    try:
        with zipfile.ZipFile(path) as file:
            record = json.loads(_read(file, "check.json"))
            examples = [_read_set(file, index, entry) for index, entry in enumerate(record["sets"])]
            return examples, str(record["oracle"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # zipfile, zlib and JSON raise whatever a damaged file provokes
        reason = one_line(error, 200)
        raise UserError(f"{path}: expected a model's check that can be read: {reason}") from error


def _read_set(file: zipfile.ZipFile, index: int, entry: dict[str, Any]) -> Example:
    def tensors(role: str, count: int) -> dict[str, np.ndarray]:
        return dict(
            decode(_read(file, f"test_data_set_{index}/{role}_{number}.pb")) for number in range(count)
        )

    inputs, outputs = tensors("input", int(entry["inputs"])), tensors("output", int(entry["outputs"]))
    allowances = {str(name): (float(a), float(b)) for name, (a, b) in entry["allowances"].items()}
    if set(allowances) != set(outputs):
        raise ValueError(f"set {index} has allowances for other outputs than it has")
    if not all(0 <= number < math.inf for both in allowances.values() for number in both):
        raise ValueError(f"set {index} has an allowance that is not a number from 0")
    return Example(str(entry["kind"]), inputs, outputs, allowances)


def _read(file: zipfile.ZipFile, name: str) -> bytes:
    if file.getinfo(name).file_size > LARGEST_MEMBER:
        raise ValueError(f"{name} is larger than {LARGEST_MEMBER:,} bytes")
    return file.read(name)
