"""ThresholdedFilterResponseNormalization: filter response normalization and its activation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasnorm.normalizations.channel_affine import ChannelAffine, Shape


@keras.saving.register_keras_serializable("kerasnorm")
class ThresholdedFilterResponseNormalization(ChannelAffine):
    """Filter response normalization and a thresholded linear unit (TLU), which the paper uses together.

        nu2 = mean(x^2) over the pixels of each image and channel
        y = gamma * x / sqrt(nu2 + |epsilon|) + beta
        output = max(y, tau)

    Gamma, beta and tau are trained, with a value for each channel. Tau starts at 0, where the unit is a ReLU. The layer
    takes the place of a normalization and a ReLU. Without a mean that is subtracted, values may lie far from 0, which
    is why the threshold is trained.

    If an image has one pixel, x / sqrt(x^2 + epsilon) is little more than the sign of x. The paper trains epsilon for
    such layers.

    Args:
        epsilon: added to nu2, as its absolute value.
        train_epsilon: whether to train another summand of nu2, |e|, which starts at 1e-4.
        options: `gamma_regularizer` and `beta_regularizer`, and the arguments of every Keras layer.

    Input and output: (batch, ..., channels).

    Reference: Singh and Krishnan 2019, arXiv:1911.09737.
    """

    def __init__(self, epsilon: float = 1e-6, train_epsilon: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.epsilon = float(epsilon)
        self.train_epsilon = bool(train_epsilon)

    def build(self, input_shape: Shape) -> None:
        """Create gamma, beta, tau and the trained epsilon."""
        if len(input_shape) < 3:
            raise ValueError(
                f"{self.name}: expected inputs (batch, ..., channels) with pixels, got the shape {input_shape}"
            )
        super().build(input_shape)
        self.tau = self.channel_weight(input_shape, "tau", "zeros")
        self.trained_epsilon = None
        if self.train_epsilon:
            start = keras.initializers.Constant(1e-4)
            self.trained_epsilon = self.add_weight(
                shape=(), initializer=start, autocast=False, name="epsilon"
            )

    def call(self, inputs: Any) -> Any:
        """Normalize each channel of each image, and apply the threshold."""
        x = self.precise(inputs)
        nu2 = ops.mean(ops.square(x), axis=tuple(range(1, len(x.shape) - 1)), keepdims=True)
        nu2 = nu2 + abs(self.epsilon)
        if self.trained_epsilon is not None:
            nu2 = nu2 + ops.abs(self.precise(self.trained_epsilon))
        y = self.affine(x * ops.rsqrt(nu2))
        return ops.cast(ops.maximum(y, self.precise(self.tau)), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        return {**super().get_config(), "epsilon": self.epsilon, "train_epsilon": self.train_epsilon}
