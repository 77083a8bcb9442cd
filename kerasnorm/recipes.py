"""Recipe: every hyper-parameter of a training run, and the named recipes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from export.errors import UserError

if TYPE_CHECKING:
    import keras
    import numpy as np

NORMS = ("bn", "ln", "gn")

# The reference's penalties (l1, l2) for each normalization.
PENALTIES = {"bn": (0.001, 0.0005), "ln": (0.0, 0.0005), "gn": (0.001, 0.0)}


# The fields of Recipe that say how training images are changed.
AUGMENTATION = ("rotation", "brightness", "contrast", "shift", "zoom", "shear", "fill")

# The fields of Recipe that are words, and what they may be.
CHOICES = {"penalize": ("kernels", "all"), "schedule": ("step", "cosine")}


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of one training run; the defaults are the reference's documented ones.

    Raises:
        UserError: a value is outside its range.
    """

    name: str = "custom"

    # The network
    filters: int = field(default=16, metadata={"help": "channels of each convolution"})
    blocks: int = field(default=3, metadata={"help": "blocks after the max pooling (two stand before it)"})
    groups: int | None = field(
        default=None, metadata={"help": "gn only: number of groups; none: filters / 4"}
    )
    dropout: float = field(default=0.05, metadata={"help": "share of activations dropped, 0 <= d < 1"})

    # The penalties; None takes the normalization's own (PENALTIES)
    l1: float | None = field(
        default=None, metadata={"help": "L1 factor on the mean |w| of each tensor; none: the norm's own"}
    )
    l2: float | None = field(
        default=None, metadata={"help": "L2 factor, penalty l2/2 * sum(w^2); none: the norm's own"}
    )
    penalize: Literal["kernels", "all"] = field(
        default="kernels", metadata={"help": "what L1 and L2 act on; all: gamma and beta too"}
    )

    # SGD and its schedule
    epochs: int = field(default=25, metadata={"help": "passes over the training images"})
    batch_size: int = field(default=128, metadata={"help": "images per step"})
    learning_rate: float = field(default=0.025, metadata={"help": "initial learning rate of SGD"})
    momentum: float = field(default=0.8, metadata={"help": "momentum of SGD, 0 <= m < 1"})
    nesterov: bool = field(default=False, metadata={"help": "Nesterov momentum"})
    step_size: int = field(
        default=6, metadata={"help": "epochs between drops of the learning rate; 0: constant"}
    )
    step_gamma: float = field(default=0.1, metadata={"help": "factor of each drop"})
    rescale_velocity: bool = field(
        default=True,
        metadata={"help": "scale SGD's velocity with the learning rate, as PyTorch's StepLR does"},
    )
    schedule: Literal["step", "cosine"] = field(
        default="step",
        metadata={"help": "step: drops of the rate; cosine: linear warm-up, then half a cosine to 0"},
    )
    warmup: float = field(
        default=0.0, metadata={"help": "cosine only: share of the training in which the rate rises from 0"}
    )
    ema: float = field(
        default=0.0,
        metadata={
            "help": "momentum of the moving average of the weights that is evaluated and kept, over at most an "
            "eighth of the training; 0: none"
        },
    )
    label_smoothing: float = field(
        default=0.0, metadata={"help": "share of each label that is spread over all classes"}
    )

    statistics: int = field(
        default=0,
        metadata={
            "help": "bn only: training images whose means and variances are used in evaluation; 0: moving averages"
        },
    )

    # The augmentation of training images
    rotation: float = field(default=7.0, metadata={"help": "largest rotation, degrees"})
    brightness: float = field(default=0.1, metadata={"help": "largest relative change of brightness"})
    contrast: float = field(default=0.1, metadata={"help": "largest relative change of contrast"})
    shift: float = field(default=0.0, metadata={"help": "largest shift in height and width, pixels"})
    zoom: float = field(default=0.0, metadata={"help": "largest relative change of size"})
    shear: float = field(default=0.0, metadata={"help": "largest shear, pixels in width per pixel in height"})
    fill: float = field(default=1.0, metadata={"help": "grey level, 0..255, of what the changes uncover"})

    def __post_init__(self) -> None:
        """Check every range; the one place where a hyper-parameter can be refused."""
        for name in ("filters", "blocks", "epochs", "batch_size"):
            _check(name, getattr(self, name), "at least 1", lambda value: value >= 1)
        if self.groups is not None:
            _check("groups", self.groups, "at least 1", lambda value: value >= 1)
        for name in ("dropout", "momentum", "ema", "warmup", "label_smoothing"):
            _check(name, getattr(self, name), "0 <= value < 1", lambda value: 0 <= value < 1)
        for name in ("l1", "l2"):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), "0 or more", lambda value: value >= 0)
        _check("learning_rate", self.learning_rate, "more than 0", lambda value: value > 0)
        _check("statistics", self.statistics, "0 or more", lambda value: value >= 0)
        _check("step_size", self.step_size, "0 or more", lambda value: value >= 0)
        _check("step_gamma", self.step_gamma, "0 < value <= 1", lambda value: 0 < value <= 1)
        _check("rotation", self.rotation, "0..180", lambda value: 0 <= value <= 180)
        for name in ("brightness", "contrast", "shear"):
            _check(name, getattr(self, name), "0..1", lambda value: 0 <= value <= 1)
        _check("shift", self.shift, "0 or more", lambda value: value >= 0)
        _check("zoom", self.zoom, "0 <= value < 1", lambda value: 0 <= value < 1)
        _check("fill", self.fill, "0..255", lambda value: 0 <= value <= 255)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                expected = " or ".join(map(repr, choices))
                raise UserError(f"{name}: expected {expected}, got {getattr(self, name)!r}")
        if self.nesterov and self.momentum == 0:
            raise UserError(
                "nesterov: expected a momentum above 0, got 0; set momentum or leave nesterov out"
            )

    def for_norm(self, norm: str) -> Recipe:
        """The recipe with the normalization's own penalties where none were set."""
        check_norm(norm)
        l1, l2 = PENALTIES[norm]
        return replace(self, l1=l1 if self.l1 is None else self.l1, l2=l2 if self.l2 is None else self.l2)

    def optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        """SGD with the recipe's momentum, schedule and averaging of weights.

        Args:
            steps_per_epoch: batches in an epoch; the cosine ends with the last step of the last epoch.
        """
        import keras

        rate: Any = self.learning_rate
        total = self.epochs * steps_per_epoch
        if self.schedule == "cosine":
            warmup = min(round(self.warmup * total), total - 1)
            options = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
            rate = keras.optimizers.schedules.CosineDecay(0.0 if warmup else rate, total - warmup, **options)
        average: dict[str, Any] = {}
        if self.ema:
            # In a short training a long average would still hold the start: it spans at most an eighth of the steps.
            longest = max(0.0, 1 - 8 / total)
            average = {"use_ema": True, "ema_momentum": min(float(self.ema), longest)}
        return keras.optimizers.SGD(rate, momentum=float(self.momentum), nesterov=self.nesterov, **average)

    def callbacks(self, x_train: np.ndarray) -> list[keras.callbacks.Callback]:
        """What the recipe needs beside the optimizer: drops of the rate; weights and statistics for evaluation.

        Args:
            x_train: the training images, (n, ...), not augmented.
        """
        import keras

        from kerasnorm.callbacks import PopulationStatistics, StepDecay

        callbacks: list[keras.callbacks.Callback] = []
        if self.schedule == "step":
            callbacks.append(
                StepDecay(self.learning_rate, self.step_size, self.step_gamma, self.rescale_velocity)
            )
        if self.ema:
            callbacks.append(keras.callbacks.SwapEMAWeights())
        if self.statistics:
            callbacks.append(PopulationStatistics(x_train[: self.statistics]))
        return callbacks

    def augmentation(self) -> dict[str, float]:
        """The recipe's keyword arguments for `training_batches` and `augment_images`."""
        return {name: getattr(self, name) for name in AUGMENTATION}


def _check(name: str, value: object, expected: str, ok: Callable[[Any], bool]) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    whole = Recipe.__dataclass_fields__[name].type in ("int", "int | None")
    if whole and number and not isinstance(value, int):
        raise UserError(f"{name}: expected a whole number, got {value!r}")
    if not number or not ok(value):
        raise UserError(f"{name}: expected {expected}, got {value!r}")


RECIPES = {
    # As the reference's README describes its training.
    "documented": Recipe("documented"),
    # As its notebook really ran: the scheduler was built and never stepped, and the penalties were on
    # every parameter.
    "notebook": Recipe("notebook", step_size=0, penalize="all"),
    # The most accurate one for the same network, chosen on held-out training images: docs/best.
    "best": Recipe(
        "best",
        dropout=0.0,
        l1=0.0,
        l2=0.0005,
        epochs=30,
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        schedule="cosine",
        warmup=0.25,
        ema=0.999,
        statistics=5000,
        rotation=12.0,
        shift=2.0,
        zoom=0.12,
        shear=0.1,
    ),
}


def check_norm(norm: str) -> None:
    """Raise UserError unless `norm` is one of NORMS."""
    if norm not in NORMS:
        raise UserError(f"norm: expected one of {', '.join(NORMS)}, got {norm!r}")


def get_recipe(recipe: str | Recipe) -> Recipe:
    """The recipe of that name in RECIPES; a Recipe is given back as it is."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise UserError(f"recipe: expected one of {', '.join(RECIPES)} or a Recipe, got {recipe!r}")
    return RECIPES[recipe]
