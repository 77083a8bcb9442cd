"""FilterResponseNormalization, which tensorflow-addons has and Keras hasn't, and its lowering to ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.lowerings.registry import register_lowering

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("kerasnorm")
class FilterResponseNormalization(keras.layers.Layer):
    """Filter response normalization: x / sqrt(mean(x^2) + epsilon) * gamma + beta.

    The mean is taken over height and width, for each image and channel. Like the layer of tensorflow-addons, this one
    leaves out the thresholded activation of the paper.

    Args:
        epsilon: added to the mean of squares, as its absolute value.
        axis: the axes that the mean is taken over.
        learned_epsilon: whether to add the absolute value of a trainable number to epsilon.
        gamma_initializer: initializer of gamma, which has one value for each channel.
        beta_initializer: initializer of beta, which has one value for each channel.
        gamma_regularizer: penalty on gamma.
        beta_regularizer: penalty on beta.
        gamma_constraint: constraint on gamma.
        beta_constraint: constraint on beta.
        learned_epsilon_constraint: constraint on the trainable epsilon.

    Input and output: (batch, height, width, channels).

    Reference: Singh and Krishnan 2019, arXiv:1911.09737.
    """

    def __init__(
        self,
        epsilon: float = 1e-6,
        axis: Sequence[int] = (1, 2),
        learned_epsilon: bool = False,
        gamma_initializer: str | dict[str, Any] | keras.Initializer = "ones",
        beta_initializer: str | dict[str, Any] | keras.Initializer = "zeros",
        gamma_regularizer: str | dict[str, Any] | keras.Regularizer | None = None,
        beta_regularizer: str | dict[str, Any] | keras.Regularizer | None = None,
        gamma_constraint: str | dict[str, Any] | keras.constraints.Constraint | None = None,
        beta_constraint: str | dict[str, Any] | keras.constraints.Constraint | None = None,
        learned_epsilon_constraint: str | dict[str, Any] | keras.constraints.Constraint | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.epsilon = float(epsilon)
        self.axis = tuple(int(one) for one in axis)
        self.use_learned_epsilon = bool(learned_epsilon)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.learned_epsilon_constraint = keras.constraints.get(learned_epsilon_constraint)

    def build(self, input_shape: Shape) -> None:
        """Create the weights, in the order of tensorflow-addons."""
        self.learned_epsilon = None
        if self.use_learned_epsilon:
            self.learned_epsilon = self.add_weight(
                shape=(1,),
                initializer=keras.initializers.Constant(1e-4),
                constraint=self.learned_epsilon_constraint,
                name="learned_epsilon",
            )
        shared = {0, *(axis % len(input_shape) for axis in self.axis)}
        shape = tuple(1 if axis in shared else size for axis, size in enumerate(input_shape))
        self.gamma = self.add_weight(
            shape=shape,
            initializer=self.gamma_initializer,
            regularizer=self.gamma_regularizer,
            constraint=self.gamma_constraint,
            name="gamma",
        )
        self.beta = self.add_weight(
            shape=shape,
            initializer=self.beta_initializer,
            regularizer=self.beta_regularizer,
            constraint=self.beta_constraint,
            name="beta",
        )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Normalize the inputs."""
        epsilon = abs(self.epsilon)
        if self.learned_epsilon is not None:
            epsilon = epsilon + keras.ops.abs(self.learned_epsilon)
        squares = keras.ops.mean(keras.ops.square(inputs), axis=self.axis, keepdims=True)
        return self.gamma * (inputs * keras.ops.rsqrt(squares + epsilon)) + self.beta

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "axis": list(self.axis),
            "learned_epsilon": self.use_learned_epsilon,
            "learned_epsilon_constraint": keras.constraints.serialize(self.learned_epsilon_constraint),
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "gamma_regularizer": keras.regularizers.serialize(self.gamma_regularizer),
            "gamma_constraint": keras.constraints.serialize(self.gamma_constraint),
            "beta_initializer": keras.initializers.serialize(self.beta_initializer),
            "beta_regularizer": keras.regularizers.serialize(self.beta_regularizer),
            "beta_constraint": keras.constraints.serialize(self.beta_constraint),
        }


@register_lowering(FilterResponseNormalization)
def lower_filter_response_normalization(g: Builder, layer: FilterResponseNormalization, x: Tensor) -> Tensor:
    """Write the formula of the layer, in its own layout."""
    epsilon = abs(layer.epsilon)
    if layer.learned_epsilon is not None:
        epsilon += abs(float(np.asarray(layer.learned_epsilon)[0]))
    axes = sorted(axis % x.rank for axis in layer.axis)
    squares = g.reduce("ReduceMean", g.op("Mul", x.value, x.value), axes)
    value = g.op("Div", x.value, g.op("Sqrt", g.op("Add", squares, epsilon)))
    value = g.op("Mul", value, np.asarray(layer.gamma, np.float32))
    return g.like(x, g.op("Add", value, np.asarray(layer.beta, np.float32)))
