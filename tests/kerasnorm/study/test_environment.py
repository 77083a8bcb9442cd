import platform

import numpy as np
import pytest

import kerasnorm
from kerasnorm.data import hold_out, load_data
from kerasnorm.study.environment import DATA, check_environment, environment


def test_an_environment_has_versions_code_and_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    here = environment("digits")
    assert here["Python"] == platform.python_version()
    assert here["kerasnorm"] == kerasnorm.__version__
    assert here["numpy"] == np.__version__
    assert here["KERAS_BACKEND"] == "jax"
    assert here[DATA] == load_data("digits").sha256
    assert len(here["kerasnorm's code with SHA-256"]) == 64
    check_environment("there", here, environment("digits"))
    assert environment("digits", 100)[DATA] == hold_out(load_data("digits"), 100).sha256


@pytest.mark.parametrize(
    ("got", "message"),
    [
        ({"keras": "3.8.0"}, r"there: expected keras 3\.15\.1, got 3\.8\.0; make both the same"),
        ({}, r"there: expected keras 3\.15\.1, got none; make both the same"),
        (
            {"keras": "3.15.1", DATA: "00"},
            "there: expected data with SHA-256 ff, got 00; put the same file there",
        ),
    ],
)
def test_a_difference_is_named(got: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_environment("there", {"keras": "3.15.1", DATA: "ff"}, got)


def test_data_that_is_missing() -> None:
    with pytest.raises(ValueError, match=r"gone\.npz: expected a \.npz file, found nothing of that name"):
        environment("gone.npz")
