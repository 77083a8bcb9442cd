"""The tree of errors, the exit code of each, and the reason of an error of another library."""

import pytest

from export.convert import Options, convert
from export.errors import (
    CheckError,
    KerasnormError,
    OpsetTooLow,
    ParityError,
    Unsupported,
    UserError,
    reason_of,
)
from export.parity import check_parity
from tests.export.helpers import functional


@pytest.mark.parametrize(
    ("error", "parents", "exit_code"),
    [
        (UserError, (KerasnormError, ValueError), 2),
        (OpsetTooLow, (UserError, KerasnormError), 2),
        (Unsupported, (KerasnormError,), 2),
        (CheckError, (KerasnormError,), 1),
        (ParityError, (CheckError, KerasnormError), 1),
    ],
)
def test_exit_codes(error: type[KerasnormError], parents: tuple[type, ...], exit_code: int) -> None:
    assert error.exit_code == exit_code
    for parent in parents:
        assert issubclass(error, parent)


def test_unsupported_is_no_user_error() -> None:
    """`convert` takes another route for the one, and stops for the other."""
    assert not issubclass(Unsupported, ValueError)


def test_parity_error_carries_the_parity() -> None:
    model = functional((4,))
    options = Options()
    parity = check_parity(model, convert(model, options), options)
    error = ParityError("they differ", parity)
    assert str(error) == "they differ"
    assert error.parity is parity


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("first\nsecond", "first"),
        ("", "RuntimeError"),
        ("{{function_node __wrapped__Gather}} indices[0] = 7", "indices[0] = 7"),
        (
            "Exception encountered when calling Outer.call().\n\n\x1b[1mException encountered when calling "
            "Inner.call().\n\n\x1b[1mno such axis\x1b[0m\n\nArguments received by Inner.call():\n  • x=1\x1b[0m",
            "Inner: no such axis",
        ),
        (
            'in user code:\n\n    File "a.py", line 1, in call  *\n\n    ValueError: no axis 3\n',
            "ValueError: no axis 3",
        ),
        ("x" * 300, "x" * 196 + " ..."),
        ("a long word " * 30, "a long word " * 16 + "a ..."),
    ],
)
def test_reason_of_an_error(text: str, reason: str) -> None:
    assert reason_of(RuntimeError(text)) == reason
