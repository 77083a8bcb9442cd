"""The errors that both packages raise, and the exit code that each becomes on the command line.

    KerasnormError
    ├── UserError       2   the arguments or the input can't be used (a ValueError, too)
    │   └── OpsetTooLow 2   a model needs operators of a higher opset than was asked for
    ├── Unsupported     2   a layer, or a way of using it, that has no lowering; `convert` takes another route
    └── CheckError      1   the work was done but failed its own check
        └── ParityError 1   the ONNX graph and the Keras model compute different values

A message says what was expected, what was received and what to do, in one line. Any other exception is a bug and
keeps its traceback. This module needs only the standard library.
"""

from __future__ import annotations

import re
from typing import Any, Protocol


class KerasnormError(Exception):
    """The base class of every error that this project raises on purpose.

    Attributes:
        exit_code: the exit code of a command that ends with this error.
    """

    exit_code = 2


class UserError(KerasnormError, ValueError):
    """The arguments or the input can't be used."""


class OpsetTooLow(UserError):
    """A model needs operators of a higher opset.

    Attributes:
        what: the operator, and the layer that needs it.
        needed: the lowest opset that has it.
    """

    def __init__(self, what: str, needed: int, opset: int) -> None:
        super().__init__(f"{what} needs opset {needed}, got {opset}; use --opset {needed} or higher")
        self.what = what
        self.needed = needed


class Unsupported(KerasnormError):
    """A layer, or a way of using it, that has no lowering. The message says which one and why."""


class CheckError(KerasnormError):
    """The work was done but failed its own check. Nothing was written under the requested name."""

    exit_code = 1


class ParityResult(Protocol):
    """What a ParityError carries: the result of a parity check (`export.parity.Parity`)."""

    @property
    def passed(self) -> bool:
        """Whether every output is within the tolerances."""

    @property
    def max_abs(self) -> float:
        """The largest absolute difference."""

    def table(self) -> str:
        """A table for the terminal."""

    def as_json(self) -> dict[str, Any]:
        """A dictionary for a file."""


class ParityError(CheckError):
    """The ONNX graph and the Keras model compute different values. Nothing was written.

    Attributes:
        parity: the result of the parity check.
    """

    def __init__(self, message: str, parity: ParityResult) -> None:
        super().__init__(message)
        self.parity = parity


def reason_of(error: BaseException) -> str:
    """Why a library failed, in one line of at most 200 characters: the first line that says so.

    Keras puts the calls that it was in around the message of an error. Of those the innermost is named.
    """
    text = re.sub(r"\x1b\[[0-9;]*m|\{\{.*?\}\}", "", str(error))
    text = text.rpartition("Error encountered:")[2].partition("Arguments received by")[0]
    calls = re.findall(r"Exception encountered when calling (\w+)\.call\(\)\.", text)
    text = re.sub(r"Exception encountered when calling \w+\.call\(\)\.", "", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    line = lines[-1] if lines[0] == "in user code:" else lines[0]  # TensorFlow's record of where it was
    return one_line(f"{calls[-1]}: {line}" if calls else line, 200)


def one_line(said: object, length: int = 300) -> str:
    """Text, or what an error says, in one line of at most `length` characters, cut between words."""
    line = " ".join(str(said).split())
    if not line and isinstance(said, BaseException):
        return type(said).__name__
    if len(line) <= length:
        return line
    short = line[: length - 4]
    head, _, word = short.rpartition(" ")
    return (head if len(word) < 40 else short) + " ..."
