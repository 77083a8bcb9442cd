"""The tree of errors, and the exit code of each."""

import pytest

from export.convert import Options, convert
from export.errors import CheckError, KerasnormError, OpsetTooLow, ParityError, Unsupported, UserError
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
