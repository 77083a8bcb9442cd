import dataclasses

import pytest

from export.errors import UserError
from kerasnorm.hyperparameters import (
    ABOVE_0,
    ABOVE_0_UP_TO_1,
    AT_LEAST_0,
    AT_LEAST_1,
    BELOW_1,
    Range,
    check,
    choice,
    flag,
    hyperparameters,
    number,
    up_to,
    whole,
)


@dataclasses.dataclass(frozen=True)
class Settings:
    title: str = "no hyper-parameter"
    steps: int = whole(3, AT_LEAST_1, "number of steps")
    limit: int | None = whole(None, AT_LEAST_1, "largest number")
    rate: float = number(0.5, BELOW_1, "share")
    fast: bool = flag(False, "take the fast way")
    mode: str = choice("a", ("a", "b"), "what is done")


@pytest.mark.parametrize(
    ("range", "inside", "outside"),
    [
        (AT_LEAST_1, (1, 7), (0, 0.9)),
        (AT_LEAST_0, (0, 7), (-1,)),
        (ABOVE_0, (0.1,), (0, -1)),
        (BELOW_1, (0, 0.9), (1, -0.1)),
        (ABOVE_0_UP_TO_1, (0.1, 1), (0, 1.1)),
        (up_to(180), (0, 180), (-1, 180.5)),
    ],
)
def test_ranges(range: Range, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    assert all(range.contains(value) for value in inside)
    assert not any(range.contains(value) for value in outside)


def test_fields_keep_their_defaults_and_descriptions() -> None:
    assert Settings() == Settings("no hyper-parameter", 3, None, 0.5, False, "a")
    found = hyperparameters(Settings)
    assert list(found) == ["steps", "limit", "rate", "fast", "mode"]
    assert [parameter.kind for parameter in found.values()] == [int, int, float, bool, str]
    assert [name for name, parameter in found.items() if parameter.optional] == ["limit"]
    assert found["mode"].choices == ("a", "b")
    assert found["rate"].help == "share"
    check(Settings())
    check(Settings(limit=2, rate=0, mode="b"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"steps": 1.5}, "steps: expected a whole number, got 1.5"),
        ({"steps": 2**31}, "steps: expected less than 2147483648, got 2147483648"),
        ({"rate": 10**400}, "rate: expected less than 2147483648, got 1000"),
        ({"fast": 1}, "fast: expected True or False, got 1"),
        ({"steps": None}, "steps: expected at least 1, got None"),
        ({"steps": True}, "steps: expected at least 1, got True"),
        ({"limit": 0}, "limit: expected at least 1, got 0"),
        ({"rate": 1.0}, "rate: expected 0 <= value < 1, got 1.0"),
        ({"rate": float("nan")}, "rate: expected 0 <= value < 1, got nan"),
        ({"rate": "0.5"}, "rate: expected 0 <= value < 1, got '0.5'"),
        ({"mode": "c"}, "mode: expected 'a' or 'b', got 'c'"),
    ],
)
def test_values_out_of_range_raise(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(Settings(**values))
