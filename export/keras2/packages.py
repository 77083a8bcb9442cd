"""Layers of packages for Keras 2 that are part of many saved models, and that Keras 3 doesn't have."""

from __future__ import annotations

from typing import Any

import keras

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("kerasnorm")
class ContribInstanceNormalization(keras.layers.Layer):
    """The InstanceNormalization of keras_contrib: (x - mean) / (deviation + epsilon) * gamma + beta.

    Args:
        axis: the axis of the channels, which are normalized one by one; None: all values of an image together.
        epsilon: added to the standard deviation, not to the variance as elsewhere.
        center: whether there is a beta.
        scale: whether there is a gamma.

    Reference: Ulyanov et al. 2016, arXiv:1607.08022.
    """

    def __init__(
        self,
        axis: int | None = None,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **options: Any,
    ) -> None:
        options = {
            key: value for key, value in options.items() if not key.startswith(("beta_", "gamma_"))
        }  # for training alone
        super().__init__(**options)
        self.axis = axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale

    def build(self, input_shape: Shape) -> None:
        """Create gamma and beta, one value each for all channels together or for each channel."""
        shape = (1,) if self.axis is None else (input_shape[self.axis],)
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma") if self.scale else None
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta") if self.center else None

    def call(self, inputs: Any) -> Any:
        """Normalize the inputs."""
        ops = keras.ops
        rank = len(inputs.shape)
        channels = None if self.axis is None else self.axis % rank
        axes = tuple(axis for axis in range(1, rank) if axis != channels)
        shape = [-1 if axis == channels else 1 for axis in range(rank)]
        mean = ops.mean(inputs, axis=axes, keepdims=True)
        deviation = ops.sqrt(ops.mean(ops.square(inputs - mean), axis=axes, keepdims=True))
        y = (inputs - mean) / (deviation + self.epsilon)
        if self.gamma is not None:
            y = y * ops.reshape(self.gamma, shape)
        return y if self.beta is None else y + ops.reshape(self.beta, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }


@keras.saving.register_keras_serializable("kerasnorm")
class LayerScale(keras.layers.Layer):
    """The LayerScale of keras.applications' ConvNeXt: x * gamma, a value for each channel.

    Args:
        init_values: what gamma starts with.
        projection_dim: the number of channels.

    Reference: Touvron et al. 2021, arXiv:2103.17239.
    """

    def __init__(self, init_values: float, projection_dim: int, **options: Any) -> None:
        super().__init__(**options)
        self.init_values = init_values
        self.projection_dim = projection_dim

    def build(self, input_shape: Shape) -> None:
        """Create gamma."""
        initializer = keras.initializers.Constant(self.init_values)
        self.gamma = self.add_weight(shape=(self.projection_dim,), initializer=initializer, name="gamma")

    def call(self, x: Any) -> Any:
        """Multiply by gamma."""
        return x * self.gamma

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        return {
            **super().get_config(),
            "init_values": self.init_values,
            "projection_dim": self.projection_dim,
        }


# By the name of the class in a Keras 2 file.
PACKAGES: dict[str, type[keras.layers.Layer]] = {
    "InstanceNormalization": ContribInstanceNormalization,
    "LayerScale": LayerScale,
}
