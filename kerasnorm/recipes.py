"""Recipe: every hyper-parameter of a training run, what they build, and the named recipes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from export.errors import UserError
from kerasnorm.augment import Augmentation, steps_per_epoch, training_batches
from kerasnorm.hyperparameters import (
    ABOVE_0,
    ABOVE_0_UP_TO_1,
    AT_LEAST_0,
    AT_LEAST_1,
    BELOW_1,
    choice,
    flag,
    number,
    whole,
)
from kerasnorm.norms import get_norm

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from kerasnorm.data import Dataset


@dataclass(frozen=True)
class Recipe(Augmentation):
    """The hyper-parameters of a training run; the defaults are those that the reference documents.

    The methods return what `fit` needs, so that a plain `fit` trains as `kerasnorm.train` does:

        >>> model = recipe.build_model("bn", data)
        >>> model.fit(
        ...     recipe.training_batches(data, seed=0),
        ...     epochs=recipe.epochs,
        ...     steps_per_epoch=recipe.steps_per_epoch(data),
        ...     validation_data=recipe.test_data(data),
        ...     callbacks=recipe.callbacks(data.x_train),
        ... )

    Raises:
        UserError: a value is out of range.
    """

    name: str = "custom"

    # The network
    filters: int = whole(16, AT_LEAST_1, "channels of each convolution")
    blocks: int = whole(3, AT_LEAST_1, "blocks after the max pooling; two more precede it")
    groups: int | None = whole(
        None, AT_LEAST_1, "number of groups, if the normalization has groups; none: filters / 4"
    )
    dropout: float = number(0.05, BELOW_1, "share of activations dropped, 0 <= d < 1")

    # The penalties; None: the normalization's own
    l1: float | None = number(
        None, AT_LEAST_0, "L1 factor on the mean |w| of each tensor; none: the norm's own"
    )
    l2: float | None = number(None, AT_LEAST_0, "L2 factor, penalty l2/2 * sum(w^2); none: the norm's own")
    penalize: Literal["kernels", "all"] = choice(
        "kernels", ("kernels", "all"), "the weights that L1 and L2 penalize; all: gamma and beta too"
    )

    # SGD and its schedule
    epochs: int = whole(25, AT_LEAST_1, "passes over the training images")
    batch_size: int = whole(128, AT_LEAST_1, "images per step")
    learning_rate: float = number(0.025, ABOVE_0, "initial learning rate of SGD")
    momentum: float = number(0.8, BELOW_1, "momentum of SGD, 0 <= m < 1")
    nesterov: bool = flag(False, "Nesterov momentum")
    step_size: int = whole(6, AT_LEAST_0, "epochs between drops of the learning rate; 0: constant")
    step_gamma: float = number(0.1, ABOVE_0_UP_TO_1, "factor of each drop")
    rescale_velocity: bool = flag(
        True, "scale SGD's velocity with the learning rate, as PyTorch's StepLR does"
    )
    schedule: Literal["step", "cosine"] = choice(
        "step",
        ("step", "cosine"),
        "step: drops of the rate; cosine: linear warm-up, then half a cosine to 0",
    )
    warmup: float = number(0.0, BELOW_1, "cosine only: share of the training in which the rate rises from 0")
    ema: float = number(
        0.0,
        BELOW_1,
        "momentum of the moving average of the weights, which is evaluated and saved; it spans at most an eighth of "
        "the training; 0: none",
    )
    label_smoothing: float = number(0.0, BELOW_1, "share of each label that is spread over all classes")
    statistics: int = whole(
        0,
        AT_LEAST_0,
        "bn, gbn and brn: calibration images, whose means and variances evaluation uses; 0: moving averages",
    )

    def __post_init__(self) -> None:
        """Check every range."""
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise UserError(
                "nesterov: expected a momentum above 0, got 0; set momentum or leave nesterov out"
            )

    def for_norm(self, norm: str) -> Recipe:
        """Return the recipe with the normalization's own penalties where none were set."""
        own = get_norm(norm)
        l1 = own.l1 if self.l1 is None else self.l1
        l2 = own.l2 if self.l2 is None else self.l2
        return replace(self, l1=l1, l2=l2)

    @property
    def augmentation(self) -> Augmentation:
        """The part of the recipe that changes training images."""
        return Augmentation(**{field.name: getattr(self, field.name) for field in fields(Augmentation)})

    def steps_per_epoch(self, data: Dataset) -> int:
        """Return the number of training batches in an epoch."""
        return steps_per_epoch(len(data.x_train), self.batch_size)

    def build_model(self, norm: str, data: Dataset) -> keras.Model:
        """Return the study's network for a data set, compiled.

        Args:
            norm: a key of NORMS.
            data: the images that the network is built for.

        Raises:
            UserError: there is no such network, for example because the images are too small.
        """
        from kerasnorm.models import build_cnn
        from kerasnorm.speed import steps_per_execution

        recipe = self.for_norm(norm)
        steps = self.steps_per_epoch(data)
        model = build_cnn(
            norm,
            data.image_shape,
            data.num_classes,
            recipe.filters,
            recipe.blocks,
            recipe.dropout,
            recipe.groups,
            recipe.l1 or 0.0,
            recipe.l2 or 0.0,
            penalize=recipe.penalize,
            pixel_mean=data.pixel_mean,
            pixel_std=data.pixel_std,
            steps=self.epochs * steps,
        )
        model.compile(
            optimizer=self.optimizer(steps),
            loss=self.loss(),
            metrics=self.metrics(),
            steps_per_execution=steps_per_execution(steps),
        )
        return model

    def loss(self) -> str | keras.losses.Loss:
        """Return the loss, without the penalties; its labels are those of `labels`."""
        import keras

        if self.label_smoothing:
            return keras.losses.CategoricalCrossentropy(label_smoothing=self.label_smoothing)
        return "sparse_categorical_crossentropy"

    def metrics(self) -> list[str | keras.metrics.Metric]:
        """Return accuracy and cross-entropy; Keras' own loss has the penalties in it, for test images too."""
        import keras

        if self.label_smoothing:
            return ["accuracy", keras.metrics.CategoricalCrossentropy(name="cross_entropy")]
        return ["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy")]

    def labels(self, y: np.ndarray, num_classes: int) -> np.ndarray:
        """Return labels (n,) as the loss takes them: unchanged, or one-hot (n, classes) for label smoothing."""
        import keras

        return keras.utils.to_categorical(y, num_classes) if self.label_smoothing else y

    def optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        """Return SGD with the recipe's momentum, schedule and averaging of weights.

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
            # In a short training a longer average would still contain the initial weights.
            longest = max(0.0, 1 - 8 / total)
            average = {"use_ema": True, "ema_momentum": min(float(self.ema), longest)}
        return keras.optimizers.SGD(rate, momentum=float(self.momentum), nesterov=self.nesterov, **average)

    def callbacks(self, x_train: np.ndarray) -> list[keras.callbacks.Callback]:
        """Return the callbacks of the schedule and of the weights, means and variances that evaluation uses.

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

    def training_batches(self, data: Dataset, seed: int, initial_epoch: int = 0) -> tf.data.Dataset:
        """Return the augmented batches of all epochs from `initial_epoch` on; see `kerasnorm.training_batches`."""
        return training_batches(
            data.x_train,
            self.labels(data.y_train, data.num_classes),
            self.batch_size,
            epochs=self.epochs,
            seed=seed,
            initial_epoch=initial_epoch,
            augmentation=self.augmentation,
        )

    def test_data(self, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Return the test images and their labels, for `validation_data`."""
        return data.x_test, self.labels(data.y_test, data.num_classes)


RECIPES = {
    # As the reference's README describes its training.
    "documented": Recipe("documented"),
    # As the reference's notebook ran: it built the scheduler but never stepped it, and it penalized every parameter.
    "notebook": Recipe("notebook", step_size=0, penalize="all"),
    # The most accurate one for the same network, chosen on held-out training images: see docs/study/best-log.md.
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


def get_recipe(recipe: str | Recipe) -> Recipe:
    """Return the recipe of that name in RECIPES; a Recipe is returned as it is.

    Raises:
        UserError: there is no such recipe.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise UserError(f"recipe: expected one of {', '.join(RECIPES)} or a Recipe, got {recipe!r}")
    return RECIPES[recipe]
