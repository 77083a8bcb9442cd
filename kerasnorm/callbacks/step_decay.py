"""StepDecay: a learning rate that drops by a factor every few epochs."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from export.errors import UserError


def step_decay(epoch: int, initial_lr: float, step_size: int, gamma: float) -> float:
    """Return the learning rate of an epoch: initial_lr * gamma ** (epoch // step_size).

    Args:
        epoch: number of the epoch, counted from 0.
        initial_lr: learning rate of epoch 0.
        step_size: epochs between drops; 0 keeps the rate constant.
        gamma: factor of each drop.
    """
    return initial_lr * gamma ** (epoch // step_size) if step_size else initial_lr


class StepDecay(keras.callbacks.Callback):
    """Set the optimizer's learning rate to `step_decay(epoch, ...)` at the start of each epoch.

    The rate depends only on the number of the epoch, so `fit(..., initial_epoch=k)` continues an interrupted run.
    The `logs` of each epoch, and so the History, contain `learning_rate`: the rate of the epoch's last step, which
    differs from the schedule if another callback has changed it.

    PyTorch's SGD computes v = m v + g and moves by -lr v; Keras computes v = m v - lr g and moves by v. They agree
    at a constant rate. When the rate changes by a factor, Keras' velocity still contains steps of the old size.
    `rescale_velocity=True` multiplies it by the same factor, which gives the steps of PyTorch's StepLR.

    Args:
        initial_lr: learning rate of epoch 0, above 0.
        step_size: epochs between drops; 0 keeps the rate constant.
        gamma: factor of each drop, 0 < gamma <= 1.
        rescale_velocity: multiply the velocity when the rate changes; needs `keras.optimizers.SGD`, alone or in a
            LossScaleOptimizer.

    Raises:
        UserError: an argument is out of range, or, before the first step, the optimizer has no learning rate that can
            be set.

    Examples:
        >>> StepDecay(0.025, step_size=6).schedule(epochs=25)[5:7]
        [0.025, 0.0025]
    """

    def __init__(
        self, initial_lr: float, step_size: int = 6, gamma: float = 0.1, rescale_velocity: bool = False
    ) -> None:
        super().__init__()
        if not (math.isfinite(initial_lr) and initial_lr > 0):
            raise UserError(f"initial_lr: expected more than 0, got {initial_lr}")
        if int(step_size) != step_size or step_size < 0:
            raise UserError(f"step_size: expected a whole number of epochs, 0 or more, got {step_size}")
        if not 0 < gamma <= 1:
            raise UserError(f"gamma: expected 0 < gamma <= 1, got {gamma}")
        self.initial_lr = float(initial_lr)
        self.step_size = int(step_size)
        self.gamma = float(gamma)
        self.rescale_velocity = rescale_velocity

    def schedule(self, epochs: int) -> list[float]:
        """Return the learning rates of epochs 0 to epochs - 1, without training."""
        return [step_decay(epoch, self.initial_lr, self.step_size, self.gamma) for epoch in range(epochs)]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Raise if the optimizer is unsupported, before the first step."""
        optimizer = self._optimizer()
        name = type(optimizer).__name__
        if hasattr(optimizer, "optimizers"):
            raise UserError(
                f"StepDecay: expected one optimizer, got a {name} of several; use learning rate schedules in them"
            )
        # The property `learning_rate` evaluates a schedule to a number; only this attribute tells them apart.
        rate = getattr(optimizer, "_learning_rate", None)
        if not isinstance(rate, keras.Variable):
            raise UserError(
                f"StepDecay: expected an optimizer with a number as learning_rate, got a {type(rate).__name__}; "
                "use only one of them"
            )
        if self.rescale_velocity and not isinstance(optimizer, keras.optimizers.SGD):
            raise UserError(f"rescale_velocity: expected keras.optimizers.SGD, got {name}; leave it out")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the epoch's learning rate."""
        optimizer = self._optimizer()
        new = step_decay(epoch, self.initial_lr, self.step_size, self.gamma)
        # The previous rate is read from the optimizer, so that a resumed run rescales only once.
        old = self._rate()
        if self.rescale_velocity and old > 0 and not math.isclose(new, old, rel_tol=1e-6):
            for velocity in getattr(optimizer, "momentums", []):
                velocity.assign(velocity * (new / old))
        optimizer.learning_rate = new

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the rate, before callbacks that end the epoch change it."""
        self._used = self._rate()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log `learning_rate`: the value of the schedule, or the optimizer's if another callback has changed it."""
        if logs is not None:
            planned = step_decay(epoch, self.initial_lr, self.step_size, self.gamma)
            logs["learning_rate"] = planned if self._used == float(np.float32(planned)) else self._used

    def _optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer that makes the steps: mixed precision wraps it in a LossScaleOptimizer."""
        optimizer = self.model.optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)

    def _rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self._optimizer().learning_rate))
