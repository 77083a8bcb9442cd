"""Stand-ins for the layers of tensorflow-addons while their weights are read, and their replacement by stock layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from export.errors import UserError
from export.keras2.filter_response import FilterResponseNormalization, Shape
from export.model_file import ADDONS


class StandIn:
    """A layer that has the weights of one of tensorflow-addons, and knows its replacement.

    Attributes:
        name: name of the layer.
    """

    name: str

    def replacement(self, trainable: bool) -> keras.layers.Layer:
        """The layer that computes the same in inference; if `trainable`, one that can be trained further."""
        raise NotImplementedError

    def replacement_weights(self, new: keras.layers.Layer) -> list[np.ndarray]:
        """The weights of the replacement `new`, in its order."""
        raise NotImplementedError


class InstanceNormalization(StandIn, keras.layers.GroupNormalization):
    """The InstanceNormalization of tensorflow-addons: a group for each channel."""

    def replacement(self, trainable: bool) -> keras.layers.Layer:
        """Keras' GroupNormalization."""
        return keras.layers.GroupNormalization.from_config({**self.get_config(), "groups": -1})

    def replacement_weights(self, new: keras.layers.Layer) -> list[np.ndarray]:
        """The same weights."""
        return self.get_weights()


class WeightNormalization(StandIn, keras.layers.Wrapper):
    """The WeightNormalization of tensorflow-addons: kernel = v / |v| * g, the norm over all axes but the last.

    The kernel of the wrapped layer holds v.

    Reference: Salimans and Kingma 2016, arXiv:1602.07868.
    """

    def __init__(self, layer: keras.layers.Layer, data_init: bool = True, **options: Any) -> None:
        super().__init__(layer, **options)
        self.data_init = data_init

    @property
    def kernel_name(self) -> str:
        """The name of the normalized weight: the recurrent kernel of a recurrent layer."""
        return "recurrent_kernel" if isinstance(self.layer, keras.layers.RNN) else "kernel"

    @property
    def v(self) -> keras.Variable:
        """The direction of the kernel; its length has no effect."""
        return getattr(getattr(self.layer, "cell", self.layer), self.kernel_name)

    def build(self, input_shape: Shape | None = None) -> None:
        """Create the weights."""
        super().build(input_shape)
        self.g = self.add_weight(shape=self.v.shape[-1:], initializer="ones", name="g")
        self.initialized = self.add_weight(
            shape=(), initializer="zeros", dtype="bool", trainable=False, name="initialized"
        )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Infer the output's shape; a stand-in computes no values."""
        return self.layer(inputs)

    def replacement(self, trainable: bool) -> keras.layers.Layer:
        """The wrapped layer."""
        return _wrapped(self)

    def replacement_weights(self, new: keras.layers.Layer) -> list[np.ndarray]:
        """The weights of the wrapped layer, with the kernel normalized in float64."""
        v = np.asarray(self.v, np.float64)
        if bool(np.asarray(self.initialized)):
            squares = np.maximum((v**2).sum(axis=tuple(range(v.ndim - 1))), 1e-12)
            kernel = v / np.sqrt(squares) * np.asarray(self.g)
        elif self.data_init:
            raise UserError(
                f"{self.name}: expected a WeightNormalization that has seen data, got one that takes its scale from "
                "the first batch; call the model once before it is saved"
            )
        else:
            kernel = v  # the first call would set g to |v|
        return [
            kernel.astype(np.float32) if weight is self.v else np.asarray(weight)
            for weight in self.layer.weights
        ]


class SpectralNormalization(StandIn, keras.layers.Wrapper):
    """The SpectralNormalization of tensorflow-addons, which keeps the wrapped layer's kernel normalized.

    Reference: Miyato et al. 2018, arXiv:1802.05957.
    """

    def __init__(self, layer: keras.layers.Layer, power_iterations: int = 1, **options: Any) -> None:
        super().__init__(layer, **options)
        self.power_iterations = power_iterations

    def build(self, input_shape: Shape | None = None) -> None:
        """Create the vector of the power iteration, which is the last weight in a Keras 2 `.h5` file."""
        super().build(input_shape)
        weight = getattr(self.layer, "embeddings", None)
        weight = self.layer.kernel if weight is None else weight
        self.sn_u = self.add_weight(shape=(1, weight.shape[-1]), trainable=False, name="sn_u")

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Call the wrapped layer, as in inference."""
        return self.layer(inputs)

    def replacement(self, trainable: bool) -> keras.layers.Layer:
        """The wrapped layer; Keras' SpectralNormalization of it if `trainable`."""
        if not trainable:
            return _wrapped(self)
        inner = _clone(self.layer)
        return keras.layers.SpectralNormalization(inner, self.power_iterations, name=self.name)

    def replacement_weights(self, new: keras.layers.Layer) -> list[np.ndarray]:
        """The weights of the wrapped layer, and the vector if the replacement has one."""
        inner = iter(self.layer.get_weights())
        vector = getattr(new, "vector_u", None)
        return [np.asarray(self.sn_u) if weight is vector else next(inner) for weight in new.weights]


KNOWN_LAYERS: dict[str, type[keras.layers.Layer]] = {
    "GroupNormalization": keras.layers.GroupNormalization,
    "FilterResponseNormalization": FilterResponseNormalization,
    "InstanceNormalization": InstanceNormalization,
    "WeightNormalization": WeightNormalization,
    "SpectralNormalization": SpectralNormalization,
}


def unknown_names(config: Any) -> Iterator[str]:
    """What a configuration names of tensorflow-addons and is not in KNOWN_LAYERS: layers, activations, ..."""
    if isinstance(config, dict):
        for value in config.values():
            yield from unknown_names(value)
    elif isinstance(config, list):
        for value in config:
            yield from unknown_names(value)
    elif isinstance(config, str) and config.startswith(ADDONS):
        name = config.removeprefix(ADDONS)
        if name not in KNOWN_LAYERS:
            yield name


def replace_stand_ins(model: keras.Model, trainable: bool, tell: Callable[[str], None]) -> keras.Model:
    """Copy a model and its weights, with stock layers in place of the stand-ins.

    Args:
        model: a Functional or Sequential model, which may hold others.
        trainable: whether to keep spectral normalization as a layer, so that the model can be trained further.
        tell: called with a line for each layer that is replaced.

    Raises:
        UserError: a stand-in is within a layer, where it can't be replaced.
    """
    if not any(
        isinstance(layer, (StandIn, FilterResponseNormalization)) for layer in model._flatten_layers()
    ):
        return model

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, StandIn):
            return layer.replacement(trainable)
        inner = [type(part).__name__ for part in vars(layer).values() if isinstance(part, StandIn)]
        if inner:
            raise UserError(
                f"{layer.name}: expected {inner[0]} of tensorflow-addons as a layer of the model, got one within "
                f"{type(layer).__name__}; build the model without it and save it again"
            )
        return _clone(layer)

    new = keras.models.clone_model(model, clone_function=clone, recursive=True)
    _copy_weights(model, new, tell)
    return new


def _copy_weights(old: keras.Model, new: keras.Model, tell: Callable[[str], None]) -> None:
    for before, after in zip(old.layers, new.layers, strict=True):
        if isinstance(before, keras.Model):
            _copy_weights(before, after, tell)
        elif isinstance(before, StandIn):
            after.set_weights(before.replacement_weights(after))
            kind = type(after).__name__
            if type(after) is type(getattr(before, "layer", None)):
                kind += ", normalization folded into its kernel"
            tell(f"{before.name}: {type(before).__name__} of tensorflow-addons replaced by {kind}")
        else:
            after.set_weights(before.get_weights())
            if type(after) is FilterResponseNormalization:
                tell(
                    f"{before.name}: FilterResponseNormalization of tensorflow-addons replaced by kerasnorm's"
                )


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    return type(layer).from_config(layer.get_config())


def _wrapped(wrapper: keras.layers.Wrapper) -> keras.layers.Layer:
    """A copy of the wrapped layer, under the name of the wrapper."""
    return type(wrapper.layer).from_config({**wrapper.layer.get_config(), "name": wrapper.name})
