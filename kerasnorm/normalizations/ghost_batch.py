"""GhostBatchNormalization: batch normalization of small parts of a batch."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasnorm.normalizations.moving_deviation import MovingDeviation


@keras.saving.register_keras_serializable("kerasnorm")
class GhostBatchNormalization(MovingDeviation):
    """Ghost batch normalization: each part of a batch is normalized by its own mean and variance.

    In training, with the mean and variance of the images of one ghost batch, for each channel,

        (x - mean) / sqrt(variance + epsilon) * gamma + beta

    The moving averages, of means and of standard deviations sqrt(variance + epsilon), take a step for each ghost batch:
    average = momentum * average + (1 - momentum) * value. Inference uses them, as batch normalization does. With a
    momentum of 0 the average becomes the mean over the ghost batches of the last batch.

    Ghost batches are made of consecutive images, `ghost_batch_size` or more of them: if that does not divide the
    batch, the images that are left over are spread over the ghost batches, so that their sizes differ by at most one.
    A batch of fewer than 2 * `ghost_batch_size` images is one ghost batch, as in batch normalization.

    Args:
        ghost_batch_size: images of a ghost batch; the paper's is 128, for batches of 4,096.
        options: the arguments of `keras.layers.BatchNormalization`, but for `synchronized` and `renorm`.

    Input and output: (batch, ..., channels), or with the channels along another `axis`.

    Raises:
        ValueError: `ghost_batch_size` is less than 1, or an option can't be used.

    Reference: Hoffer et al. 2017, arXiv:1705.08741.
    """

    def __init__(self, ghost_batch_size: int = 128, **options: Any) -> None:
        if ghost_batch_size < 1:
            raise ValueError(f"ghost_batch_size: expected 1 or more, got {ghost_batch_size}")
        super().__init__(**options)
        self.ghost_batch_size = int(ghost_batch_size)

    def normalize_batch(self, x: Any) -> Any:
        """Normalize each ghost batch, and take a step of the moving averages for each."""
        batch = ops.shape(x)[0]
        if isinstance(batch, int):
            ghosts: Any = max(1, batch // self.ghost_batch_size)
        else:
            ghosts = ops.maximum(batch // self.ghost_batch_size, 1)
        ghost_of_image = ops.arange(batch) * ghosts // batch
        rank, dtype = len(x.shape), keras.backend.standardize_dtype(x.dtype)
        pixels = tuple(axis for axis in range(1, rank) if axis != self.channel_axis)

        def ghost_sums(values: Any) -> Any:
            return ops.segment_sum(values, ghost_of_image, num_segments=ghosts)

        images = ghost_sums(ops.ones_like(ghost_of_image, dtype=dtype))[:, None]

        def ghost_means(values: Any) -> Any:
            """(ghosts, channels)."""
            return ghost_sums(ops.mean(values, axis=pixels) if pixels else values) / images

        def of_images(values: Any) -> Any:
            """From (ghosts, channels) to (batch, 1, ..., channels)."""
            return self.along_channels(ops.take(values, ghost_of_image, axis=0), rank)

        mean = ghost_means(x)
        centred = x - of_images(mean)
        deviation = ops.sqrt(ghost_means(ops.square(centred)) + self.epsilon)
        self._move(mean, deviation, ghosts, dtype)
        gamma, beta = self.gamma_and_beta(dtype)
        return centred * of_images(gamma / deviation) + self.along_channels(beta, rank)

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        return {**super().get_config(), "ghost_batch_size": self.ghost_batch_size}

    def _move(self, means: Any, deviations: Any, ghosts: Any, dtype: str) -> None:
        kept = ops.power(ops.convert_to_tensor(self.momentum, dtype), ops.cast(ghosts, dtype))
        # The ghost batch before the last counts momentum times as much as the last, and so on.
        age = ops.cast(ops.flip(ops.arange(ghosts)), dtype)
        counts = ops.power(ops.convert_to_tensor(self.momentum or 1.0, dtype), age)[:, None]
        counts = counts * (1 - kept) / ops.sum(counts)
        mean, deviation = self.moving(dtype)
        self.set_moving(
            kept * mean + ops.sum(counts * means, axis=0),
            kept * deviation + ops.sum(counts * deviations, axis=0),
        )
