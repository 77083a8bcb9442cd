"""BatchRenormalization: batch normalization that computes nearly the same in training and inference."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasnorm.normalizations.channel_affine import Shape
from kerasnorm.normalizations.moving_deviation import MovingDeviation


@keras.saving.register_keras_serializable("kerasnorm")
class BatchRenormalization(MovingDeviation):
    """Batch renormalization: batch normalization that is corrected towards the moving averages.

    In training, with the batch's mean_B and sigma_B = sqrt(variance + epsilon), and the moving averages mean and sigma,
    for each channel,

        r = clip(sigma_B / sigma, 1 / r_max, r_max)
        d = clip((mean_B - mean) / sigma, -d_max, d_max)
        y = ((x - mean_B) / sigma_B * r + d) * gamma + beta

    where r and d have no gradient. Without the clipping this is (x - mean) / sigma * gamma + beta, which inference
    computes. Then the moving averages take a step: average = momentum * average + (1 - momentum) * value.

    The bounds follow the steps of the training, which the layer counts in a weight that is not trained. Up to step
    `warmup` they are 1 and 0, which is batch normalization. From there r_max grows linearly to its final value at step
    `r_steps`, and d_max to its own at step `d_steps`. The defaults are the paper's, for a training of 130,000 steps.

    Args:
        r_max: the final bound of r, 1 or more.
        d_max: the final bound of d, 0 or more.
        warmup: steps of batch normalization.
        r_steps: the step at which r_max is reached.
        d_steps: the step at which d_max is reached.
        momentum: of the moving averages.
        options: the arguments of `keras.layers.BatchNormalization`, but for `synchronized` and `renorm`.

    Input and output: (batch, ..., channels), or with the channels along another `axis`.

    Raises:
        ValueError: a bound or a step is out of range, or an option can't be used.

    Reference: Ioffe 2017, arXiv:1702.03275.
    """

    def __init__(
        self,
        r_max: float = 3.0,
        d_max: float = 5.0,
        warmup: int = 5_000,
        r_steps: int = 40_000,
        d_steps: int = 25_000,
        momentum: float = 0.99,
        **options: Any,
    ) -> None:
        if r_max < 1 or d_max < 0:
            raise ValueError(f"r_max, d_max: expected 1 or more and 0 or more, got {r_max} and {d_max}")
        if not 0 <= warmup <= min(r_steps, d_steps):
            raise ValueError(
                f"warmup: expected 0 up to r_steps={r_steps} and d_steps={d_steps}, got {warmup}"
            )
        super().__init__(momentum=momentum, **options)
        self.r_max, self.d_max = float(r_max), float(d_max)
        self.warmup, self.r_steps, self.d_steps = int(warmup), int(r_steps), int(d_steps)

    def build(self, input_shape: Shape) -> None:
        """Create the weights of batch normalization and the counter of steps."""
        super().build(input_shape)
        self.step = self.add_weight(
            shape=(), initializer="zeros", dtype="int", trainable=False, autocast=False, name="step"
        )

    def bounds(self, step: Any, dtype: str = "float32") -> tuple[Any, Any]:
        """Return r_max and d_max at a step, counted from 0."""
        past = ops.cast(step, dtype) - self.warmup

        def share(last: int) -> Any:
            return ops.clip(past / max(1, last - self.warmup), 0.0, 1.0)

        return 1 + (self.r_max - 1) * share(self.r_steps), self.d_max * share(self.d_steps)

    def normalize_batch(self, x: Any) -> Any:
        """Normalize a batch with its corrected statistics, and take a step of the moving averages."""
        rank, dtype = len(x.shape), keras.backend.standardize_dtype(x.dtype)
        axes = tuple(axis for axis in range(rank) if axis != self.channel_axis)
        batch_mean, variance = ops.moments(x, axes=axes)
        batch_deviation = ops.sqrt(variance + self.epsilon)
        mean, deviation = self.moving(dtype)
        r_max, d_max = self.bounds(self.step, dtype)
        r = ops.stop_gradient(ops.clip(batch_deviation / deviation, 1 / r_max, r_max))
        d = ops.stop_gradient(ops.clip((batch_mean - mean) / deviation, -d_max, d_max))
        keep = self.momentum
        self.set_moving(
            mean * keep + batch_mean * (1 - keep), deviation * keep + batch_deviation * (1 - keep)
        )
        self.step.assign(self.step + 1)
        gamma, beta = self.gamma_and_beta(dtype)
        scale = gamma * r / batch_deviation
        centred = x - self.along_channels(batch_mean, rank)
        return centred * self.along_channels(scale, rank) + self.along_channels(gamma * d + beta, rank)

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        names = ("r_max", "d_max", "warmup", "r_steps", "d_steps")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def scaled_schedule(steps: int) -> dict[str, int]:
    """Return `warmup`, `r_steps` and `d_steps` for a training of some steps: the same shares as in the paper's.

    Args:
        steps: steps of the whole training, 1 or more.
    """
    of_paper = {"warmup": 5_000, "r_steps": 40_000, "d_steps": 25_000}
    return {name: round(step * steps / 130_000) for name, step in of_paper.items()}
