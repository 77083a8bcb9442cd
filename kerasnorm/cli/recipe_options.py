"""A Recipe on the command line: the options, and the recipe that they make."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from kerasnorm.augment import Augmentation
from kerasnorm.data import NAMES
from kerasnorm.hyperparameters import Hyperparameter, hyperparameters
from kerasnorm.recipes import RECIPES, Recipe

DEFAULT = "documented"


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the recipe and the images: --data, --recipe, --held-out."""
    parser.add_argument(
        "--data",
        default="auto",
        metavar="NAME|FILE.npz",
        help=f"{', '.join(NAMES)}, or a .npz file of x_train, y_train, x_test, y_test (default: auto: MNIST "
        "if it is available, otherwise scikit-learn's digits); files are looked for in $KERASNORM_DATA first",
    )
    parser.add_argument("--recipe", choices=RECIPES, help=f"default: {DEFAULT}")
    parser.add_argument(
        "--held-out",
        type=int,
        default=0,
        metavar="N",
        help="test on the last N training images and don't train on them, to choose a recipe (default: 0)",
    )


def add_tensorboard_option(parser: argparse.ArgumentParser) -> None:
    """Add --tensorboard."""
    parser.add_argument(
        "--tensorboard",
        nargs="?",
        const=True,
        default=False,
        metavar="DIR",
        help="write curves, weights and pictures for TensorBoard, to the run directory, or for each run to a folder "
        "in DIR",
    )


def add_hyperparameters(parser: argparse.ArgumentParser) -> None:
    """Add an option for each hyper-parameter; one that is not given leaves the recipe's own value."""
    group = parser.add_argument_group("hyper-parameters (each replaces the recipe's value)")
    for name, parameter in _hyperparameters().items():
        options: dict[str, Any] = {
            "default": argparse.SUPPRESS,
            "help": f"{parameter.help} ({_defaults(name)})",
        }
        if parameter.kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif parameter.choices:
            options["choices"] = parameter.choices
        else:
            options["type"] = parameter.kind
            options["metavar"] = "N" if parameter.kind is int else "X"
        group.add_argument(_option(name), **options)


def recipe_from(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe that `--recipe` names, with the hyper-parameters that were given."""
    given = {name: getattr(arguments, name) for name in _hyperparameters() if hasattr(arguments, name)}
    name = arguments.recipe or DEFAULT  # of a recipe that is not listed, a file has given the values
    return dataclasses.replace(RECIPES.get(name, Recipe(name)), **given)


def _hyperparameters() -> dict[str, Hyperparameter]:
    """The network and its training first, then the augmentation."""
    last = hyperparameters(Augmentation)
    return {name: value for name, value in hyperparameters(Recipe).items() if name not in last} | last


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _defaults(name: str) -> str:
    """The values in the named recipes: one if they agree, otherwise each."""
    values = {recipe.name: getattr(recipe, name) for recipe in RECIPES.values()}
    shown = {recipe: "none" if value is None else str(value) for recipe, value in values.items()}
    if len(set(shown.values())) == 1:
        return shown["documented"]
    return ", ".join(f"{recipe}: {value}" for recipe, value in shown.items())
