"""The truth that a graph is judged by: the same Keras model, evaluated in float64.

Within `in_float64(model)` every layer computes in float64. Three things are needed, on any backend:

1. the layers' dtype policies become float64, so that inputs and constants are cast to it;
2. each floating-point variable reads as float64 (the cast is exact): its value through a `keras.StatelessScope`, its
   dtype through Keras' `AutocastScope`. Values are cast when they are read, so that the model is never held twice.
   Writes, those of stateful layers, are dropped;
3. the inputs of models within wrappers are no longer cast back to float32;
4. Keras' promotion of dtypes keeps 64 bits, which it does on TensorFlow alone. JAX has to be allowed 64 bits besides.

Nothing is copied: custom layers without `get_config`, subclassed models, adapted preprocessing layers and lookup tables
keep their state. All of it is undone when the context ends.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any, Protocol

import keras
import numpy as np
from keras.src.backend import AutocastScope  # Keras has no public name for it, nor for the next
from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE

Inputs = list[np.ndarray]


class NotExact(Exception):
    """The model can't be evaluated in float64. The message says which layer is in the way."""


class Precise(Protocol):
    """Something that computes outputs from inputs, in its own precision or in float64."""

    def __call__(self, arrays: Inputs, scope: keras.StatelessScope | None = None) -> list[np.ndarray]:
        """Compute in its own precision, with the variables' values of the scope."""
        ...

    def exactly(self, arrays: Inputs) -> list[np.ndarray]:
        """Compute in float64; raises NotExact where that is impossible."""
        ...


class Oracle:
    """The truth, batch by batch, and how far it moves by rounding.

    Where a layer insists on another precision, Keras' own outputs are taken for the truth, and their error is estimated
    by how far they move when inputs and weights change in their last places.

    Attributes:
        name: what is taken for the truth, in words.
    """

    NUDGE = 4 * 2.0**-23  # of inputs and weights, for the estimate

    def __init__(self, model: keras.Model, evaluator: Precise) -> None:
        self._model = model
        self._evaluator = evaluator
        self._is_exact = True
        self.name = "Keras in float64"

    def truth(self, arrays: Inputs, keras_outputs: list[np.ndarray]) -> tuple[list[np.ndarray], list[float]]:
        """The true outputs, and what is to be added to the errors that Keras' outputs show against them."""
        if self._is_exact:
            try:
                return self._evaluator.exactly(arrays), [0.0] * len(keras_outputs)
            except NotExact as error:
                self._is_exact = False
                self.name = f"Keras in its own precision, give or take its rounding, since {error}"
        return keras_outputs, self.movement(arrays, keras_outputs, self.NUDGE, samples=2, weights=True)

    def movement(
        self,
        arrays: Inputs,
        truth: list[np.ndarray],
        nudge: float,
        *,
        samples: int = 4,
        weights: bool = False,
    ) -> list[float]:
        """How far each output moves, at most, when inputs (and weights) change by a factor 1 + nudge or 1 - nudge."""
        rng = np.random.default_rng(0)
        moves = [0.0] * len(truth)
        for _ in range(samples):
            nudged = [
                _nudged(rng, array, nudge) if _is_float(x.dtype) else array
                for array, x in zip(arrays, keras.tree.flatten(self._model.inputs), strict=True)
            ]
            if self._is_exact:
                outputs = self._evaluator.exactly(nudged)
            else:
                changed = self._model.variables if weights else []
                scope = keras.StatelessScope(
                    [
                        (v, _nudged(rng, keras.ops.convert_to_numpy(v), nudge))
                        for v in changed
                        if _is_float(v.dtype)
                    ]
                )
                outputs = self._evaluator(nudged, scope)
            for index, (moved, output) in enumerate(zip(outputs, truth, strict=True)):
                if output.dtype.kind in "iufb":
                    error = np.abs(moved.astype(np.float64) - output)
                    moves[index] = max(moves[index], float(np.max(error[np.isfinite(error)], initial=0)))
        return moves


def _nudged(rng: np.random.Generator, array: np.ndarray, nudge: float) -> np.ndarray:
    return array * (1 + nudge * rng.choice([-1, 1], array.shape))


@contextlib.contextmanager
def in_float64(model: keras.Model, *, eager: bool = True) -> Iterator[None]:
    """Make every layer of a model compute in float64 on weights cast to it, until the context ends.

    Args:
        model: the model.
        eager: have TensorFlow run its functions eagerly. Keras has XLA compile grouped convolutions, which takes 15
            times as long in float64.

    Raises:
        NotExact: a layer is quantized, so that its integers are part of what it computes.
    """
    layers = [layer for layer in model._flatten_layers() if _is_float(layer.compute_dtype)]
    quantized = next((layer for layer in layers if layer.quantization_mode is not None), None)
    if quantized is not None:
        raise NotExact(f"layer {quantized.name!r} is quantized to {quantized.quantization_mode}")
    policies = [(layer, layer._dtype_policy) for layer in layers]
    inputs = [
        (tensor, tensor.dtype)
        for layer in layers
        if isinstance(layer, keras.Model)
        for tensor in keras.tree.flatten(getattr(layer, "inputs", None) or [])
        if _is_float(tensor.dtype)
    ]
    float64 = keras.DTypePolicy("float64")
    try:
        for layer, _ in policies:
            layer._dtype_policy = float64
        for tensor, _ in inputs:
            tensor._dtype = "float64"
        with _backend_in_float64(eager), _Float64Scope(model.variables), AutocastScope("float64"):
            yield
    finally:
        for layer, policy in policies:
            layer._dtype_policy = policy
        for tensor, dtype in inputs:
            tensor._dtype = dtype


class _Float64Scope(keras.StatelessScope):
    """A scope in which floating-point variables read as float64."""

    def __init__(self, variables: list[Any]) -> None:
        super().__init__()
        self._values = {id(v): v.value for v in variables if _is_float(v.dtype)}

    def get_current_value(self, variable: Any) -> Any:
        """The variable's value in this scope; None: the variable's own."""
        updated = super().get_current_value(variable)
        value = self._values.get(id(variable))
        return keras.ops.cast(value, "float64") if updated is None and value is not None else updated


@contextlib.contextmanager
def _backend_in_float64(eager: bool) -> Iterator[None]:
    """Let Keras and JAX use 64-bit numbers, and TensorFlow run its functions eagerly or not."""
    with contextlib.ExitStack() as stack:
        stack.callback(BIT64_TO_BIT32_DTYPE.update, dict(BIT64_TO_BIT32_DTYPE))
        BIT64_TO_BIT32_DTYPE.update({name: name for name in ("float64", "int64")})
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            stack.callback(tf.config.run_functions_eagerly, tf.config.functions_run_eagerly())
            tf.config.run_functions_eagerly(eager)
        elif keras.backend.backend() == "jax":
            import jax

            # JAX moved the context manager in 0.8.
            where = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
            stack.enter_context(where.enable_x64(True))
        yield


def _is_float(dtype: Any) -> bool:
    return "float" in str(dtype)
