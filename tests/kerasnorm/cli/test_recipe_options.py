import argparse
import dataclasses
from typing import Any

import pytest

from kerasnorm import RECIPES, Recipe
from kerasnorm.cli.recipe_options import (
    add_data_options,
    add_hyperparameters,
    recipe_from,
)
from kerasnorm.hyperparameters import hyperparameters


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_data_options(parser)
    add_hyperparameters(parser)
    return parser


def test_every_field_can_be_set_from_the_command_line() -> None:
    other: dict[str, Any] = {
        "penalize": "all",
        "schedule": "cosine",
        "nesterov": True,
        "rescale_velocity": False,
        "groups": 2,
        "l1": 0.5,
        "l2": 0.25,
    }
    for field in dataclasses.fields(Recipe):
        if field.name == "name":
            continue
        default = getattr(RECIPES["documented"], field.name)
        value = other.get(field.name, 7 if hyperparameters(Recipe)[field.name].kind is int else 0.375)
        assert value != default
        option = "--" + field.name.replace("_", "-")
        argv = [option, str(value)]
        if isinstance(value, bool):
            argv = [option if value else option.replace("--", "--no-")]
        recipe = recipe_from(parser().parse_args(argv))
        assert recipe == dataclasses.replace(RECIPES["documented"], **{field.name: value})


def test_help_shows_the_defaults_of_the_recipes() -> None:
    text = " ".join(parser().format_help().split())
    assert "--epochs N passes over the training images (documented: 25, notebook: 25, best: 30)" in text
    assert "--batch-size N images per step (128)" in text
    assert "none: filters / 4 (none)" in text
    assert text.index("--filters") < text.index("--label-smoothing") < text.index("--rotation")


def test_an_unknown_choice_ends_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["--penalize", "bias"])
    assert "argument --penalize: invalid choice: 'bias'" in capsys.readouterr().err
