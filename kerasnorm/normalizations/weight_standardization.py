"""StandardizedConv2D: a convolution whose kernels have mean 0 and variance 1."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasnorm")
class StandardizedConv2D(keras.layers.Conv2D):
    """Conv2D with weight standardization, which the paper uses before group normalization.

    The convolution is computed with

        (kernel - mean) / sqrt(variance + epsilon)

    with the mean and variance of all weights of one output channel. The kernel itself is trained, through this formula;
    penalties act on the kernel, not on the standardized one.

    Args:
        filters: output channels.
        kernel_size: height and width of the kernel.
        epsilon: added to the variance.
        options: further arguments of `keras.layers.Conv2D`.

    Reference: Qiao et al. 2019, arXiv:1903.10520.
    """

    def __init__(
        self, filters: int, kernel_size: int | tuple[int, int], epsilon: float = 1e-5, **options: Any
    ) -> None:
        super().__init__(filters, kernel_size, **options)
        self.epsilon = float(epsilon)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve with the standardized kernel."""
        return super().convolution_op(inputs, ops.cast(self.standardized(kernel), self.compute_dtype))

    def standardized(self, kernel: Any) -> Any:
        """Standardize a kernel (height, width, input channels, output channels), in float32 or more."""
        kernel = ops.cast(kernel, keras.backend.result_type(kernel.dtype, "float32"))
        mean, variance = ops.moments(kernel, axes=(0, 1, 2), keepdims=True)
        return (kernel - mean) * ops.rsqrt(variance + self.epsilon)

    def stock_layers(self) -> list[keras.layers.Layer]:
        """The Conv2D with the standardized kernel, without the penalty, which is for the other one."""
        stock = keras.layers.Conv2D
        layer = stock.from_config({**stock.get_config(self), "kernel_regularizer": None})
        layer.build((None, None, None, self.kernel.shape[2] * self.groups))
        layer.kernel.assign(self.standardized(self.kernel))
        if self.use_bias:
            layer.bias.assign(ops.copy(self.bias))
        return [layer]

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        return {**super().get_config(), "epsilon": self.epsilon}
