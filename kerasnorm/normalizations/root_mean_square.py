"""RootMeanSquareNormalization: layer normalization of images without the mean."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasnorm.normalizations.channel_affine import ChannelAffine


@keras.saving.register_keras_serializable("kerasnorm")
class RootMeanSquareNormalization(ChannelAffine):
    """Root mean square layer normalization of images: x / sqrt(mean(x^2) + epsilon) * gamma + beta.

    The mean is taken over all axes of an image. Gamma and beta have a value for each channel. Beta is the bias that the
    paper adds after the gain; a following convolution with a bias of its own makes it redundant.

    Keras' `RMSNormalization` over axes (1, 2, 3) divides by the same number, but has a gamma for each of the H*W*C
    values and no beta.

    Args:
        epsilon: added to the mean square; the paper has none.
        options: `gamma_regularizer` and `beta_regularizer`, and the arguments of every Keras layer.

    Input and output: (batch, ..., channels).

    Reference: Zhang and Sennrich 2019, arXiv:1910.07467.
    """

    def __init__(self, epsilon: float = 1e-5, **options: Any) -> None:
        super().__init__(**options)
        self.epsilon = float(epsilon)

    def call(self, inputs: Any) -> Any:
        """Normalize each image."""
        x = self.precise(inputs)
        axes = tuple(range(1, len(x.shape)))
        mean_square = ops.mean(ops.square(x), axis=axes, keepdims=True)
        return ops.cast(self.affine(x * ops.rsqrt(mean_square + self.epsilon)), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        return {**super().get_config(), "epsilon": self.epsilon}
