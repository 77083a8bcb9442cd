import dataclasses
import inspect
from typing import Any

import numpy as np
import pytest

from kerasnorm import RECIPES, Recipe, augment_images, training_batches
from kerasnorm.recipes import NORMS
from kerasnorm.train import parser, recipe_from


def test_the_named_recipes_are_the_references() -> None:
    documented, notebook = RECIPES["documented"], RECIPES["notebook"]
    common = {"epochs": 25, "batch_size": 128, "learning_rate": 0.025, "momentum": 0.8, "rotation": 7.0}
    for recipe in (documented, notebook):
        assert {key: getattr(recipe, key) for key in common} == common
    assert (documented.step_size, documented.step_gamma, documented.penalize) == (6, 0.1, "kernels")
    assert (notebook.step_size, notebook.penalize) == (0, "all")


@pytest.mark.parametrize(("norm", "l1", "l2"), [("bn", 0.001, 0.0005), ("ln", 0, 0.0005), ("gn", 0.001, 0)])
def test_each_norm_brings_its_own_penalties(norm: str, l1: float, l2: float) -> None:
    recipe = RECIPES["documented"].for_norm(norm)
    assert (recipe.l1, recipe.l2) == (l1, l2)
    recipe = Recipe(l1=0.0, l2=0.25).for_norm(norm)
    assert (recipe.l1, recipe.l2) == (0.0, 0.25)


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
        value = other.get(field.name, 7 if field.type == "int" else 0.375)
        assert value != default
        option = "--" + field.name.replace("_", "-")
        if isinstance(value, bool):
            words = [option if value else option.replace("--", "--no-")]
        else:
            words = [option, str(value)]
        recipe = recipe_from(parser().parse_args(["--norm", "bn", *words]))
        assert recipe == dataclasses.replace(RECIPES["documented"], **{field.name: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"batch_size": -1}, "batch_size: expected at least 1, got -1"),
        ({"epochs": 1.5}, "epochs: expected a whole number, got 1.5"),
        ({"learning_rate": -0.1}, "learning_rate: expected more than 0, got -0.1"),
        ({"learning_rate": float("nan")}, "learning_rate: expected more than 0, got nan"),
        ({"momentum": 1.0}, "momentum: expected 0 <= value < 1, got 1.0"),
        ({"l1": -1.0}, "l1: expected 0 or more, got -1.0"),
        ({"dropout": 1.0}, "dropout: expected 0 <= value < 1, got 1.0"),
        ({"brightness": 2.0}, r"brightness: expected 0..1, got 2.0"),
        ({"step_gamma": 0.0}, "step_gamma: expected 0 < value <= 1, got 0.0"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov: expected a momentum above 0"),
        ({"schedule": "linear"}, "schedule: expected 'step' or 'cosine', got 'linear'"),
        ({"ema": 1.0}, "ema: expected 0 <= value < 1, got 1.0"),
        ({"zoom": 1.0}, "zoom: expected 0 <= value < 1, got 1.0"),
        ({"shift": -1.0}, "shift: expected 0 or more, got -1.0"),
        ({"penalize": "none"}, "penalize: expected 'kernels' or 'all', got 'none'"),
    ],
)
def test_values_out_of_range_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**values)


def test_unknown_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="norm: expected one of bn, ln, gn, got 'x'"):
        Recipe().for_norm("x")


def test_what_a_recipe_gives_a_plain_fit() -> None:
    recipe = Recipe(schedule="cosine", warmup=0.25, epochs=4, learning_rate=0.1, ema=0.9, statistics=5)
    optimizer = recipe.optimizer(steps_per_epoch=10)
    rates = []
    for step in (0, 5, 10, 25, 40):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.05, 0], atol=1e-7)
    assert (optimizer.use_ema, optimizer.ema_momentum, optimizer.momentum) == (True, 0.8, 0.8)  # 1 - 8 / 40
    assert recipe.optimizer(steps_per_epoch=100).ema_momentum == 0.9
    kinds = [type(callback).__name__ for callback in recipe.callbacks(np.zeros((9, 28, 28, 1)))]
    assert kinds == ["SwapEMAWeights", "PopulationStatistics"]
    assert [type(callback).__name__ for callback in Recipe().callbacks(np.zeros(9))] == ["StepDecay"]
    known = inspect.signature(training_batches).parameters
    assert recipe.augmentation()["rotation"] == recipe.rotation
    assert set(recipe.augmentation()) == set(inspect.signature(augment_images).parameters) - {
        "images",
        "seed",
    }
    assert set(recipe.augmentation()) <= set(known)


def test_best_keeps_the_network() -> None:
    for norm in NORMS:
        recipe = RECIPES["best"].for_norm(norm)
        assert (recipe.filters, recipe.blocks, recipe.groups, recipe.penalize) == (16, 3, None, "kernels")
