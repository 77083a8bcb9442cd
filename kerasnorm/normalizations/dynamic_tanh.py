"""DynamicTanh: a function of each value in the place of a normalization."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerasnorm.normalizations.channel_affine import ChannelAffine, Shape


@keras.saving.register_keras_serializable("kerasnorm")
class DynamicTanh(ChannelAffine):
    """Dynamic tanh: gamma * tanh(alpha * x) + beta.

    There are no statistics: each value is treated alone. Alpha is one trained number; gamma and beta have a value for
    each channel.

    Args:
        alpha: the number that alpha starts at.
        options: `gamma_regularizer` and `beta_regularizer`, and the arguments of every Keras layer.

    Input and output: (batch, ..., channels).

    Reference: Zhu et al. 2025, arXiv:2503.10622.
    """

    def __init__(self, alpha: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        self.initial_alpha = float(alpha)

    def build(self, input_shape: Shape) -> None:
        """Create alpha, gamma and beta."""
        start = keras.initializers.Constant(self.initial_alpha)
        self.alpha = self.add_weight(shape=(), initializer=start, autocast=False, name="alpha")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Apply the function."""
        y = self.affine(ops.tanh(self.precise(self.alpha) * self.precise(inputs)))
        return ops.cast(y, self.compute_dtype)

    def stock_layers(self) -> list[keras.layers.Layer]:
        """The same function of stock Keras layers: two scalings by constants, and a tanh between them."""
        gamma, beta = (
            np.asarray(ops.convert_to_numpy(weight)).tolist() for weight in (self.gamma, self.beta)
        )
        layers, options = keras.layers, {"dtype": self.dtype_policy}
        return [
            layers.Rescaling(float(ops.convert_to_numpy(self.alpha)), name=f"{self.name}_alpha", **options),
            layers.Activation("tanh", name=f"{self.name}_tanh", **options),
            layers.Rescaling(gamma, beta, name=self.name, **options),
        ]

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        return {**super().get_config(), "alpha": self.initial_alpha}
