"""StepDecay, PopulationStatistics and MisclassifiedImages: plain Keras callbacks for any `model.fit`."""

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
    The `logs` of each epoch, and so the History, contain `learning_rate`.

    PyTorch's SGD computes v = m v + g and moves by -lr v; Keras computes v = m v - lr g and moves by v. They agree
    at a constant rate. When the rate changes by a factor, Keras' velocity still contains steps of the old size.
    `rescale_velocity=True` multiplies it by the same factor, which gives the steps of PyTorch's StepLR.

    Args:
        initial_lr: learning rate of epoch 0, above 0.
        step_size: epochs between drops; 0 keeps the rate constant.
        gamma: factor of each drop, 0 < gamma <= 1.
        rescale_velocity: multiply the velocity when the rate changes; needs `keras.optimizers.SGD`.

    Raises:
        UserError: an argument is out of range, or the optimizer does not support it.

    Example:
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
        optimizer = self.model.optimizer
        # The property `learning_rate` evaluates a schedule to a number; only this attribute tells them apart.
        if isinstance(
            getattr(optimizer, "_learning_rate", None), keras.optimizers.schedules.LearningRateSchedule
        ):
            raise UserError(
                "StepDecay: expected an optimizer with a number as learning_rate, got a LearningRateSchedule; "
                "use only one of them"
            )
        if self.rescale_velocity and not isinstance(optimizer, keras.optimizers.SGD):
            raise UserError(
                f"rescale_velocity: expected keras.optimizers.SGD, got {type(optimizer).__name__}; leave it out"
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the epoch's learning rate."""
        optimizer = self.model.optimizer
        new = step_decay(epoch, self.initial_lr, self.step_size, self.gamma)
        # The previous rate is read from the optimizer, so that a resumed run rescales only once.
        old = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        if self.rescale_velocity and old > 0 and not math.isclose(new, old, rel_tol=1e-6):
            for velocity in getattr(optimizer, "momentums", []):
                velocity.assign(velocity * (new / old))
        optimizer.learning_rate = new

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log `learning_rate`: the value of the schedule, not the optimizer's float32 copy."""
        if logs is not None:
            logs["learning_rate"] = step_decay(epoch, self.initial_lr, self.step_size, self.gamma)


class PopulationStatistics(keras.callbacks.Callback):
    """Compute the mean and variance of each BatchNormalization from calibration images, before every evaluation.

    A moving average with momentum 0.9 covers little more than the last ten batches, of augmented images and of
    earlier weights. The paper (Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 2) uses population statistics
    instead: the mean over batches of their means and variances, with the current weights. This callback computes
    them at the start of each evaluation, from batches in training mode. After training, the values of the last
    evaluation remain. Training itself does not use them.

    List it after `keras.callbacks.SwapEMAWeights`, so that it calibrates the averaged weights. Models without
    BatchNormalization stay unchanged. Other layers, such as dropout, act as in training.

    Args:
        x: calibration images: training images, not augmented, (n, ...), as the model takes them.
        batch_size: images per batch. Images after the last whole batch are not used; a set of fewer images than
            `batch_size` is one batch.

    Raises:
        UserError: there are no images, or the batch size is less than 1.

    Example:
        >>> statistics = PopulationStatistics(x_train[:5000])
        >>> model.fit(x_train, y_train, epochs=5, validation_data=(x_test, y_test), callbacks=[statistics])
    """

    def __init__(self, x: np.ndarray, batch_size: int = 1000) -> None:
        super().__init__()
        if len(x) == 0:
            raise UserError("PopulationStatistics: expected images, got none")
        if batch_size < 1:
            raise UserError(f"batch_size: expected 1 or more, got {batch_size}")
        self.x, self.batch_size = x, min(batch_size, len(x))

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Calibrate the model for the evaluation."""
        self.compute(self.model)

    def compute(self, model: keras.Model) -> None:
        """Set the moving mean and variance of every BatchNormalization of `model`."""
        norms = [
            layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)
        ]
        momenta = [layer.momentum for layer in norms]
        try:
            for batch in range(len(self.x) // self.batch_size if norms else 0):
                for layer in norms:
                    layer.momentum = batch / (batch + 1)  # makes the moving average the mean of all batches
                start = batch * self.batch_size
                model(np.asarray(self.x[start : start + self.batch_size], np.float32), training=True)
        finally:
            for layer, momentum in zip(norms, momenta, strict=True):
                layer.momentum = momentum


class MisclassifiedImages(keras.callbacks.Callback):
    """Collect the images that the model gets wrong after the last epoch.

    The images are collected once, when training ends, so that training is not slowed down. At most `limit` images
    are kept, whatever the size of the data.

    Args:
        x: images, (n, ...), as the model takes them.
        y: labels, (n,) or (n, 1) integers, or (n, classes) one-hot.
        limit: largest number of images to keep, 1 or more.
        batch_size: images per prediction.

    Attributes:
        images: the first `limit` misclassified images, (k, ...), in the order and dtype of `x`.
        predicted: their predicted classes, (k,).
        actual: their labels, (k,).
        indices: their positions in `x`, (k,).
        count: number of all misclassified images.

    Raises:
        UserError: `x` and `y` differ in length, or the model's output is not class probabilities or logits.

    Example:
        >>> wrong = MisclassifiedImages(x_test, y_test)
        >>> model.fit(x_train, y_train, epochs=5, callbacks=[wrong])
        >>> plot_misclassified(wrong.images, wrong.predicted, wrong.actual)
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, limit: int = 25, batch_size: int = 512) -> None:
        super().__init__()
        if limit < 1:
            raise UserError(f"limit: expected 1 or more, got {limit}")
        if batch_size < 1:
            raise UserError(f"batch_size: expected 1 or more, got {batch_size}")
        labels = np.asarray(y)
        if labels.ndim == 2:
            labels = labels[:, 0] if labels.shape[1] == 1 else labels.argmax(axis=1)
        if labels.ndim != 1 or len(labels) != len(x) or len(x) == 0:
            raise UserError(
                f"MisclassifiedImages: expected one label for each image, at least one, got x of shape {np.shape(x)} "
                f"and y of shape {np.shape(y)}"
            )
        self.x, self.y = x, labels
        self.limit, self.batch_size = limit, batch_size
        self._reset()

    def _reset(self) -> None:
        self.indices: np.ndarray = np.zeros(0, np.int64)
        self.predicted: np.ndarray = np.zeros(0, np.int64)
        self.count = 0

    @property
    def images(self) -> np.ndarray:
        """The misclassified images, (k, ...)."""
        return np.asarray(self.x[self.indices])

    @property
    def actual(self) -> np.ndarray:
        """The labels of the misclassified images, (k,)."""
        return self.y[self.indices]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Collect with the final weights."""
        self.collect(self.model)

    def collect(self, model: keras.Model) -> None:
        """Collect the misclassified images of `model`; images that were collected before are dropped."""
        self._reset()
        for start in range(0, len(self.x), self.batch_size):
            outputs = np.asarray(model.predict_on_batch(self.x[start : start + self.batch_size]))
            predicted = _classes(outputs)
            wrong = np.flatnonzero(predicted != self.y[start : start + self.batch_size])
            self.count += len(wrong)
            wrong = wrong[: self.limit - len(self.indices)]
            self.indices = np.concatenate([self.indices, start + wrong])
            self.predicted = np.concatenate([self.predicted, predicted[wrong]])


def _classes(outputs: np.ndarray) -> np.ndarray:
    """Return classes from (n, classes) probabilities or logits, or from (n, 1) sigmoid probabilities."""
    if outputs.ndim != 2:
        raise UserError(
            f"MisclassifiedImages: expected a model with one output of shape (batch, classes), "
            f"got {outputs.shape}"
        )
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0.5).astype(np.int64)
    return outputs.argmax(axis=1)
