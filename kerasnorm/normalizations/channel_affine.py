"""ChannelAffine: the base of layers with a gamma and a beta for each channel."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras
from keras import ops

Shape = tuple[int | None, ...]
Regularizer: TypeAlias = "str | dict[str, Any] | keras.Regularizer | None"


class ChannelAffine(keras.layers.Layer):
    """Base class of layers with a trained gamma and beta for each channel, which is the last axis.

    Args:
        gamma_regularizer: penalty on gamma, which starts at 1.
        beta_regularizer: penalty on beta, which starts at 0.
    """

    def __init__(
        self, gamma_regularizer: Regularizer = None, beta_regularizer: Regularizer = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)

    def build(self, input_shape: Shape) -> None:
        """Create gamma and beta."""
        if input_shape[-1] is None:
            raise ValueError(
                f"{self.name}: expected a known number of channels, the last axis, got {input_shape}"
            )
        self.gamma = self.channel_weight(input_shape, "gamma", "ones", self.gamma_regularizer)
        self.beta = self.channel_weight(input_shape, "beta", "zeros", self.beta_regularizer)

    def channel_weight(
        self, input_shape: Shape, name: str, initializer: str, regularizer: keras.Regularizer | None = None
    ) -> keras.Variable:
        """Create a weight with a value for each channel. It stays in its own precision."""
        return self.add_weight(
            shape=input_shape[-1:],
            initializer=initializer,
            regularizer=regularizer,
            autocast=False,
            name=name,
        )

    def precise(self, x: Any) -> Any:
        """Cast to float32 or more: sums of squares overflow in float16, and are inexact in bfloat16."""
        return ops.cast(x, keras.backend.result_type(self.compute_dtype, "float32"))

    def affine(self, x: Any) -> Any:
        """x * gamma + beta."""
        return x * self.precise(self.gamma) + self.precise(self.beta)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        return {
            **super().get_config(),
            "gamma_regularizer": keras.regularizers.serialize(self.gamma_regularizer),
            "beta_regularizer": keras.regularizers.serialize(self.beta_regularizer),
        }
