import numpy as np
import pytest

from kerasnorm import RECIPES, Augmentation, Recipe, load_data
from kerasnorm.norms import NORMS
from kerasnorm.recipes import get_recipe


def test_named_recipes_have_the_values_of_the_reference() -> None:
    documented, notebook = RECIPES["documented"], RECIPES["notebook"]
    common = {"epochs": 25, "batch_size": 128, "learning_rate": 0.025, "momentum": 0.8, "rotation": 7.0}
    for recipe in (documented, notebook):
        assert {key: getattr(recipe, key) for key in common} == common
    assert (documented.step_size, documented.step_gamma, documented.penalize) == (6, 0.1, "kernels")
    assert (notebook.step_size, notebook.penalize) == (0, "all")


@pytest.mark.parametrize(("norm", "l1", "l2"), [("bn", 0.001, 0.0005), ("ln", 0, 0.0005), ("gn", 0.001, 0)])
def test_each_norm_has_its_own_penalties(norm: str, l1: float, l2: float) -> None:
    recipe = RECIPES["documented"].for_norm(norm)
    assert (recipe.l1, recipe.l2) == (l1, l2)
    recipe = Recipe(l1=0.0, l2=0.25).for_norm(norm)
    assert (recipe.l1, recipe.l2) == (0.0, 0.25)


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
def test_values_out_of_range_raise(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**values)


def test_unknown_norm_raises() -> None:
    with pytest.raises(ValueError, match=r"norm: expected one of bn, ln, gn.* got 'x'"):
        Recipe().for_norm("x")


def test_optimizer_and_callbacks() -> None:
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


def test_a_recipe_contains_its_augmentation() -> None:
    recipe = Recipe("mine", 8, rotation=12.0, fill=0.0)
    assert (recipe.name, recipe.filters, recipe.rotation) == ("mine", 8, 12.0)
    assert type(recipe.augmentation) is Augmentation
    assert recipe.augmentation == Augmentation(rotation=12.0, fill=0.0)
    assert Recipe().augmentation == Augmentation()


def test_build_model_is_the_recipes_network_compiled() -> None:
    data = load_data("digits")
    recipe = Recipe(filters=8, blocks=2, batch_size=100, l2=0.5, penalize="all", dropout=0.25)
    model = recipe.build_model("gn", data)
    assert recipe.steps_per_epoch(data) == 15  # of 1437 images
    assert model.input_shape == (None, 28, 28, 1)
    assert model.get_layer("conv3").filters == 8
    assert model.get_layer("norm0").groups == 2
    assert model.get_layer("dropout0").rate == 0.25
    penalty = model.get_layer("norm0").gamma_regularizer
    assert (float(penalty.l1), float(penalty.l2)) == pytest.approx((0.001 / 8, 0.25), rel=1e-6, abs=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.025, rel=1e-6, abs=0)
    assert 15 % model.steps_per_execution == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_loss_and_metrics_fit_each_other(smoothing: float) -> None:
    recipe, data = Recipe(label_smoothing=smoothing, batch_size=50), load_data("digits")
    images, labels = next(iter(recipe.training_batches(data, seed=0)))
    x_test, y_test = recipe.test_data(data)
    assert images.shape == (50, 28, 28, 1)
    assert labels.shape == ((50, 10) if smoothing else (50,))
    assert y_test.shape == ((360, 10) if smoothing else (360,))
    model = recipe.build_model("ln", data)
    found = model.evaluate(x_test[:20], y_test[:20], verbose=0, return_dict=True)
    assert set(found) == {"loss", "accuracy", "cross_entropy"}
    probabilities = np.asarray(model(x_test[:20]))
    expected = -np.log(probabilities[np.arange(20), data.y_test[:20]]).mean()
    np.testing.assert_allclose(found["cross_entropy"], expected, rtol=1e-5, atol=0)


def test_get_recipe() -> None:
    assert get_recipe("best") is RECIPES["best"]
    mine = Recipe("mine")
    assert get_recipe(mine) is mine
    with pytest.raises(
        ValueError, match="recipe: expected one of documented, notebook, best or a Recipe, got 'x'"
    ):
        get_recipe("x")


def test_best_has_the_network_of_the_reference() -> None:
    for norm in NORMS:
        recipe = RECIPES["best"].for_norm(norm)
        assert (recipe.filters, recipe.blocks, recipe.groups, recipe.penalize) == (16, 3, None, "kernels")
