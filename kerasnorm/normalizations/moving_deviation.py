"""MovingDeviation: the base of variants of batch normalization, which differ in training only."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasnorm.normalizations.channel_affine import Shape


class MovingDeviation(keras.layers.BatchNormalization):
    """Base class of batch normalizations that average standard deviations, where Keras averages variances.

    In inference, or with `trainable = False`, such a layer is a BatchNormalization: its `moving_variance` is the square
    of the averaged sqrt(variance + epsilon), less epsilon.

    Args:
        options: the arguments of `keras.layers.BatchNormalization`, but for `synchronized` and `renorm`.

    Raises:
        ValueError: one of those two is given.
    """

    def __init__(self, **options: Any) -> None:
        for name in ("synchronized", "renorm"):
            if options.get(name):
                raise ValueError(f"{type(self).__name__}: expected {name}=False, got {options[name]!r}")
        super().__init__(**options)
        self.supports_masking = False

    def build(self, input_shape: Shape) -> None:
        """Create gamma, beta and the moving statistics."""
        self.channel_axis = self.axis % len(input_shape)
        if self.channel_axis == 0:
            raise ValueError(f"{self.name}: expected an axis of channels, got {self.axis}, the batch")
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Normalize: in training by `normalize_batch`, otherwise by the moving statistics."""
        if not (training and self.trainable):
            return super().call(inputs, training=False)
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        return ops.cast(self.normalize_batch(x), self.compute_dtype)

    def normalize_batch(self, x: Any) -> Any:
        """Normalize a batch in training, and update the moving statistics; x is in float32 or more."""
        raise NotImplementedError

    def along_channels(self, values: Any, rank: int) -> Any:
        """Values (n, channels) or (channels,) with the axes of a batch: (n or 1, 1, ..., channels, ..., 1)."""
        shape = [1] * rank
        shape[0], shape[self.channel_axis] = -1, values.shape[-1]
        return ops.reshape(values, shape)

    def gamma_and_beta(self, dtype: str) -> tuple[Any, Any]:
        """Gamma and beta, or 1 and 0 where the layer has none."""
        gamma = ops.cast(self.gamma, dtype) if self.scale else ops.ones_like(self.moving_mean, dtype)
        beta = ops.cast(self.beta, dtype) if self.center else ops.zeros_like(self.moving_mean, dtype)
        return gamma, beta

    def moving(self, dtype: str) -> tuple[Any, Any]:
        """The moving mean and standard deviation, sqrt(variance + epsilon)."""
        variance = ops.cast(self.moving_variance, dtype)
        return ops.cast(self.moving_mean, dtype), ops.sqrt(variance + self.epsilon)

    def set_moving(self, mean: Any, deviation: Any) -> None:
        """Set the moving mean and standard deviation."""
        self.moving_mean.assign(ops.stop_gradient(mean))
        self.moving_variance.assign(ops.stop_gradient(ops.square(deviation) - self.epsilon))

    def stock_layers(self) -> list[keras.layers.Layer]:
        """The BatchNormalization that this layer is in inference."""
        stock = keras.layers.BatchNormalization
        layer = stock.from_config(stock.get_config(self))
        shape: list[int | None] = [None] * self.input_spec.ndim
        shape[self.channel_axis] = self.moving_mean.shape[0]
        layer.build(tuple(shape))
        for weight in layer.weights:
            weight.assign(ops.copy(getattr(self, weight.name)))  # JAX gives buffers away
        return [layer]
