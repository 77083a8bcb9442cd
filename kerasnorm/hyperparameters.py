"""Hyper-parameters: dataclass fields that carry their range and their help text.

A field is declared once, with its default, range and help. `check` validates the values of an instance, and the
command line has an option for each field.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from export.errors import UserError

_KEY = "hyperparameter"


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that a number may have.

    Attributes:
        text: the range as error messages write it.
        contains: whether a number is in the range.
    """

    text: str
    contains: Callable[[float], bool]


AT_LEAST_1 = Range("at least 1", lambda value: value >= 1)
AT_LEAST_0 = Range("0 or more", lambda value: value >= 0)
ABOVE_0 = Range("more than 0", lambda value: value > 0)
BELOW_1 = Range("0 <= value < 1", lambda value: 0 <= value < 1)
ABOVE_0_UP_TO_1 = Range("0 < value <= 1", lambda value: 0 < value <= 1)


def up_to(high: int) -> Range:
    """The numbers from 0 to `high`, both included."""
    return Range(f"0..{high}", lambda value: 0 <= value <= high)


@dataclasses.dataclass(frozen=True)
class Hyperparameter:
    """The kind, range and help text of a field.

    Attributes:
        kind: bool, int, float or str.
        help: one line for the command line.
        range: the range of a number.
        choices: the values that a string may have.
        optional: whether the value may be None.
    """

    kind: type
    help: str
    range: Range | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False

    def check(self, name: str, value: object) -> None:
        """Raise UserError unless `value` is allowed; `name` starts the message."""
        if self.choices and value not in self.choices:
            raise UserError(f"{name}: expected {' or '.join(map(repr, self.choices))}, got {value!r}")
        if self.kind is bool and not isinstance(value, bool):
            raise UserError(f"{name}: expected True or False, got {value!r}")
        if self.range is None or (self.optional and value is None):
            return
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
        if self.kind is int and number and not isinstance(value, int):
            raise UserError(f"{name}: expected a whole number, got {value!r}")
        if isinstance(value, int) and value >= 2**31:
            raise UserError(f"{name}: expected less than {2**31}, got {value!r}")
        if not number or not self.range.contains(value):  # type: ignore[arg-type] # a number
            raise UserError(f"{name}: expected {self.range.text}, got {value!r}")


def whole(default: int | None, range: Range, help: str) -> Any:
    """A field for a whole number; it may be None if the default is."""
    return _field(default, Hyperparameter(int, help, range, optional=default is None))


def number(default: float | None, range: Range, help: str) -> Any:
    """A field for a number; it may be None if the default is."""
    return _field(default, Hyperparameter(float, help, range, optional=default is None))


def flag(default: bool, help: str) -> Any:
    """A field for True or False."""
    return _field(default, Hyperparameter(bool, help))


def choice(default: str, choices: tuple[str, ...], help: str) -> Any:
    """A field for one of several strings."""
    return _field(default, Hyperparameter(str, help, choices=choices))


def _field(default: object, parameter: Hyperparameter) -> Any:
    return dataclasses.field(default=default, metadata={_KEY: parameter})


def hyperparameters(settings: Any) -> dict[str, Hyperparameter]:
    """Return the hyper-parameters of a dataclass or an instance of it, by field name."""
    return {
        field.name: field.metadata[_KEY] for field in dataclasses.fields(settings) if _KEY in field.metadata
    }


def check(settings: Any) -> None:
    """Raise UserError if a hyper-parameter of a dataclass instance is out of range."""
    for name, parameter in hyperparameters(settings).items():
        parameter.check(name, getattr(settings, name))
