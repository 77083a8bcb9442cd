"""Random Keras models, the same for the same seed, and inputs for them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from .helpers import takes_rate_one

_CHANNELS = 4
_HIGHEST_RATE = 1.0 if takes_rate_one() else 0.0


def _centre_over_batch(x: Any) -> Any:
    """An activation that mixes the images of a batch."""
    return x - keras.ops.mean(x, axis=0, keepdims=True)


class Doubled(keras.Model):
    """A subclass of a Functional model with a `call` of its own."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        outputs = super().call(inputs, training=training, mask=mask)
        return keras.tree.map_structure(lambda x: 2 * x, outputs)


class RandomModel:
    """Draws one model. Two draws from the same seed have the same architecture.

    Args:
        seed: seed of everything.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.rank = int(self.rng.integers(2, 6))
        sizes = {2: (), 3: (5,), 4: (4, 3), 5: (3, 2, 2)}[self.rank]
        self.shape = (*sizes, _CHANNELS)
        self.policy = str(self.pick(*["float32"] * 7, "float64", "mixed_bfloat16", "mixed_float16"))
        self.batch = int(self.pick(1, 2, 3, 5, 8))
        self.parts = int(self.pick(1, 2, 3))
        self.dynamic = self.chance(0.5)
        self.plain = self.chance(0.4)  # one input, and only layers that allow parts

    def pick(self, *options: Any) -> Any:
        return options[self.rng.integers(len(options))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def build(self) -> keras.Model:
        """The model, with weights away from their initial values."""
        previous = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.policy)
        try:
            model = self._sequential() if self.chance(0.2) else self._functional()
        finally:
            keras.config.set_dtype_policy(previous)
        for layer in model.layers:
            if self.chance(0.15):
                layer.trainable = False
        for weight in model.weights:
            if weight.dtype.startswith(("float", "bfloat")):
                noise = self.rng.normal(0, 0.1, weight.shape)
                weight.assign(weight + abs(noise) if "moving" in weight.path else weight + noise)
        return model

    def inputs(self, model: keras.Model) -> Any:
        """Arrays in the structure of the model's inputs; the keys of a dict in another order."""

        def array(symbolic: Any) -> Any:
            shape = (self.batch, *symbolic.shape[1:])
            if "int" in symbolic.dtype:
                return self.rng.integers(0, 5, shape).astype(symbolic.dtype)
            return self.rng.normal(0.3, 1, shape).astype(symbolic.dtype)

        is_dict = not isinstance(model, keras.Sequential) and isinstance(model.input, dict)
        structure = model.input if is_dict else model.inputs
        arrays = keras.tree.map_structure(array, structure)
        if isinstance(arrays, dict):
            return dict(reversed(list(arrays.items())))
        return arrays[0] if len(arrays) == 1 else arrays

    def _sequential(self) -> keras.Model:
        dtype = self._input_dtype()
        blocks = [self._layer() for _ in range(self.rng.integers(1, 5))]
        return keras.Sequential([keras.Input(self.shape, dtype=dtype), self._first(dtype), *blocks])

    def _functional(self) -> keras.Model:
        count = 1 if self.plain else int(self.rng.integers(1, 4))
        names = [f"input_{letter}" for letter in self.rng.permutation(list("zab"))[:count]]
        inputs = [keras.Input(self.shape, name=name, dtype=self._input_dtype()) for name in names]
        tensors = [self._chain(self._first(x.dtype)(x)) for x in inputs]
        x = tensors[0]
        if count > 1:
            x = self.pick(layers.Add, layers.Average, layers.Maximum)()([self._as_float(t) for t in tensors])
        x = self._branch(x)
        if self.chance(0.5):
            x = self._nested(x)
        last = self._chain(x)
        outputs = self.pick(last, last, [last], [last, x], {"z": last, "a": x}, (last, [x]), {"only": last})
        kind = keras.Model if self.plain or self.chance(0.9) else Doubled
        as_dict = count > 1 and self.chance(0.5)
        return kind(dict(zip(names, inputs, strict=True)) if as_dict else inputs, outputs)

    def _input_dtype(self) -> str:
        if self.chance(0.7):
            return "float32"
        return str(self.pick("float64", "float16", "uint8", "int32", "bfloat16"))

    def _first(self, dtype: str) -> Any:
        """A layer that takes inputs of this dtype."""
        if "int" in dtype:
            return self.pick(layers.Rescaling(0.2), self._batch_normalization())
        return self._layer()

    def _as_float(self, x: Any) -> Any:
        return layers.Rescaling(0.5)(x)

    def _chain(self, x: Any) -> Any:
        for _ in range(self.rng.integers(1, 4)):
            layer = self._layer()
            takes_training = isinstance(layer, (layers.BatchNormalization, layers.Dropout))
            recorded = self.pick(True, False) if takes_training and self.chance(0.25) else None
            x = layer(x) if recorded is None else layer(x, training=recorded)
        return x

    def _branch(self, x: Any) -> Any:
        if self.chance(0.5):
            return x
        shared = self._layer()
        joined = self.pick(layers.Add(), layers.Concatenate())(
            [shared(self._as_float(x)), shared(self._as_float(x))]
        )
        return layers.Dense(_CHANNELS)(joined)

    def _nested(self, x: Any) -> Any:
        x = self._as_float(x)
        training = {} if self.plain or self.chance(0.6) else {"training": self.pick(True, False)}
        if not self.plain and self.chance(0.25):
            first, second = keras.Input(self.shape, name="b"), keras.Input(self.shape, name="a")
            difference = layers.Subtract()([self._chain(first), self._chain(second)])
            model = keras.Model({"b": first, "a": second}, {"y": difference, "x": first})
            nested = model({"a": x, "b": self._as_float(x)}, **training)
            return layers.Add()([nested["y"], nested["x"]])
        if self.chance(0.5):
            model = keras.Sequential([keras.Input(self.shape, dtype=x.dtype), self._layer(), self._layer()])
        else:
            inner = keras.Input(self.shape, dtype=x.dtype)
            model = keras.Model(inner, self._chain(inner))
        y = model(x, **training)
        return layers.Add()([y, model(y)]) if self.chance(0.4) else y

    def _layer(self) -> Any:
        makers = [
            self._linear,
            self._normalization,
            self._normalization,
            self._activation,
            self._regularization,
        ]
        if not self.plain and self.chance(0.1):
            return self.pick(
                layers.Lambda(_centre_over_batch),
                layers.Activation(_centre_over_batch),
                layers.Softmax(axis=0),
                layers.BatchNormalization(axis=1, epsilon=0.01),
                layers.Activation("tanh", activity_regularizer="l2"),
            )
        return self.pick(*makers)()

    def _linear(self) -> Any:
        activation = self.pick(None, "tanh", "gelu", "relu", "softmax")
        if self.rank == 2 or self.chance(0.3):
            return layers.Dense(_CHANNELS, activation=activation, kernel_regularizer=self.pick(None, "l2"))
        convolution = {3: layers.Conv1D, 4: layers.Conv2D, 5: layers.Conv3D}[self.rank]
        return convolution(_CHANNELS, 2, padding="same", activation=activation, use_bias=self.chance(0.5))

    def _normalization(self) -> Any:
        kind = self.pick("batch", "batch", "batch", "group", "group", "layer")
        options = {"epsilon": 0.01, "center": self.chance(0.7), "scale": self.chance(0.7)}
        if kind == "group" and self.rank > 2:
            axis = -1 if self.plain else self.pick(-1, -1, self.rank - 1)
            return layers.GroupNormalization(self.pick(1, 2, 4, -1), axis=axis, **options)
        if kind == "layer":
            return layers.LayerNormalization(**options)
        return self._batch_normalization(**options)

    def _batch_normalization(self, **options: Any) -> Any:
        axis = self.pick(-1, -1, self.rank - 1)
        return layers.BatchNormalization(
            axis, momentum=self.pick(0.0, 0.7, 0.99), **{"epsilon": 0.01, **options}
        )

    def _activation(self) -> Any:
        return self.pick(
            layers.ReLU(), layers.Activation("silu"), layers.Softmax(), layers.LeakyReLU(), layers.PReLU()
        )

    def _regularization(self) -> Any:
        return layers.Dropout(self.pick(0.0, _HIGHEST_RATE))  # the rates between them draw random masks
