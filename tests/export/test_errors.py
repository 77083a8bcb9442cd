"""The tree of errors, the exit code of each, and the reason of an error of another library."""

from typing import Any

import keras
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


class Failing(keras.layers.Layer):
    """Fails as it is called."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def call(self, x: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("two lines:\nthe second"), "two lines:"),
        (ValueError(), "ValueError"),
        (ValueError("{{function_node __wrapped__Gather}} indices[0] = 7"), "indices[0] = 7"),
        (
            TypeError('in user code:\n\n    File "x.py"\n    ValueError: no such axis\n'),
            "ValueError: no such axis",
        ),
    ],
)
def test_reason_of(error: Exception, reason: str) -> None:
    """The cause, not what libraries write around it, with the layer's name if a layer failed."""
    assert reason_of(error) == reason
    with pytest.raises(type(error)) as caught:
        Failing(error)(keras.ops.ones((2, 3)))
    assert reason_of(caught.value) == f"Failing.call(): {reason}"
