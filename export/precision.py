"""A Keras model computed in another precision than its own: float64 for the truth, float32 as in the graph.

Within `in_precision(model, dtype)` every layer computes in `dtype`. Five things are needed, on any backend:

1. the layers' dtype policies become `dtype`, so that inputs and constants are cast to it;
2. each floating-point variable reads as `dtype`: its value through a `keras.StatelessScope`, its dtype through Keras'
   `AutocastScope`. Values are cast when they are read, so that the model is never held twice. Writes, those of stateful
   layers, are dropped;
3. so do the tensors that layers keep as attributes, such as the mean of a Normalization;
4. the inputs of models within wrappers are no longer cast back. Keras' promotion of dtypes keeps 64 bits, which it does
   on TensorFlow alone, and JAX has to be allowed them;
5. `keras.ops.cast` from one floating-point type to another gives `dtype`: a custom layer that says
   `ops.cast(x, "float16")` doesn't round.

Nothing is copied: custom layers without `get_config`, subclassed models, adapted preprocessing layers and lookup tables
keep their state. All of it is undone when the context ends.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import keras
import numpy as np
from keras.src.backend import AutocastScope  # Keras has no public name for it, nor for the next
from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE

from export.errors import reason_of
from export.random_numbers import fixed_numbers, random_numbers_of

# Variables, and the values that they have in place of their own.
Weights = Sequence[tuple[Any, Any]]


class NotExact(Exception):
    """The model can't be evaluated in another precision. The message says which layer is in the way."""


def other_policies(model: keras.layers.Layer) -> list[str]:
    """The names of the dtype policies of layers that compute or keep weights in another float than float32."""
    layers = [x for x in model._flatten_layers() if not isinstance(x, (keras.Model, keras.layers.InputLayer))]
    dtypes = {x.dtype_policy.name: (str(x.compute_dtype), str(x.variable_dtype)) for x in layers}
    return sorted(
        name for name, both in dtypes.items() if any(is_float(one) and one != "float32" for one in both)
    )


@contextlib.contextmanager
def in_precision(
    model: keras.layers.Layer, dtype: str, *, eager: bool = False, weights: Weights = ()
) -> Iterator[None]:
    """Make every layer of a model compute in a dtype on weights cast to it, until the context ends.

    Args:
        model: the model, or a layer.
        dtype: 'float32' or 'float64'.
        eager: have TensorFlow run its functions eagerly. Keras has XLA compile grouped convolutions, which takes 15
            times as long in float64.
        weights: variables that have other values meanwhile.

    Raises:
        NotExact: a quantized layer computes in another precision than float32, which is part of what it computes.
    """
    layers = [layer for layer in model._flatten_layers() if is_float(layer.compute_dtype)]
    quantized = [layer for layer in layers if layer.quantization_mode is not None]
    other = next((layer for layer in quantized if layer.compute_dtype != "float32"), None)
    if other is not None:
        raise NotExact(
            f"layer {other.name!r} is quantized to {other.quantization_mode} and computes in {other.compute_dtype}"
        )
    of_quantized = {id(layer): _quantized_policy(layer, dtype) for layer in quantized}
    policies = [(layer, layer._dtype_policy) for layer in layers]
    inputs = [
        (tensor, tensor.dtype)
        for layer in layers
        if isinstance(layer, keras.Model)
        for tensor in keras.tree.flatten(getattr(layer, "inputs", None) or [])
        if is_float(tensor.dtype)
    ]
    constants = [
        (layer, name, value)
        for layer in layers
        for name, value in vars(layer).items()
        # Keras' question alone takes long, and few attributes have a dtype.
        if hasattr(value, "dtype") and keras.ops.is_tensor(value) and not isinstance(value, keras.Variable)
        if is_float(keras.backend.standardize_dtype(value.dtype))
    ]
    policy = keras.DTypePolicy(dtype)
    try:
        for layer, _ in policies:
            layer._dtype_policy = of_quantized.get(id(layer), policy)
        for tensor, _ in inputs:
            tensor._dtype = dtype
        for layer, name, value in constants:
            vars(layer)[name] = keras.ops.cast(value, dtype)
        # In mode float8, a layer that computes in float32 rounds its bias.
        biases = [x.bias for x in quantized if x.quantization_mode == "float8" and x.bias is not None]
        rounded = [(bias, keras.ops.cast(bias.value, "bfloat16")) for bias in biases]
        scope = _PrecisionScope(model.variables, dtype, [*rounded, *weights])
        with _backend(eager, wide=dtype == "float64"), scope, AutocastScope(dtype), _casts_to(dtype):
            yield
    finally:
        for layer, own in policies:
            layer._dtype_policy = own
        for tensor, own in inputs:
            tensor._dtype = own
        for layer, name, value in constants:
            vars(layer)[name] = value


def _quantized_policy(layer: Any, dtype: str) -> Any:
    """The policy of a quantized layer, which keeps its mode, in another precision."""
    policy = layer._dtype_policy
    is_map = isinstance(policy, keras.dtype_policies.DTypePolicyMap)
    policy = copy.copy(policy[layer.path] if is_map else policy)
    policy._compute_dtype = policy._variable_dtype = dtype
    return policy


def evaluate_in(
    dtype: str,
    model: keras.Model,
    evaluate: Callable[[list[np.ndarray]], list[np.ndarray]],
    arrays: list[np.ndarray],
    weights: Weights = (),
) -> list[np.ndarray]:
    """What a function of a model's layers returns in a dtype.

    Args:
        dtype: 'float32' or 'float64'.
        model: the model.
        evaluate: the function.
        arrays: its inputs.
        weights: variables that have other values meanwhile.

    Raises:
        NotExact: a layer insists on another dtype.
    """
    rounded = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    outputs = None
    fixed = random_numbers_of(fixed_numbers(dtype))
    if dtype == "float64":
        # TensorFlow has convolutions in channels-first layout in compiled functions alone.
        with contextlib.suppress(Exception), in_precision(model, dtype, eager=True, weights=weights), fixed:
            outputs = evaluate(rounded)
    if outputs is None:
        with in_precision(model, dtype, weights=weights), random_numbers_of(fixed_numbers(dtype)):
            try:
                outputs = evaluate(rounded)
            except NotExact:
                raise
            except Exception as error:  # custom layers raise anything
                raise NotExact(f"a layer fails in {dtype}: {reason_of(error)}") from error
    wrong = next((x.dtype.name for x in outputs if is_float(x.dtype.name) and x.dtype.name != dtype), None)
    if wrong is not None:
        raise NotExact(f"the model insists on {wrong}")
    return outputs


class _PrecisionScope(keras.StatelessScope):
    """A scope in which floating-point variables read as one dtype."""

    def __init__(self, variables: Sequence[Any], dtype: str, weights: Weights) -> None:
        super().__init__()
        self._dtype = dtype
        self._values = {id(v): v.value for v in variables if is_float(v.dtype)}
        self._values |= {id(v): keras.ops.convert_to_tensor(value) for v, value in weights}

    def get_current_value(self, variable: Any) -> Any:
        """The variable's value in this scope; None: the variable's own."""
        updated = super().get_current_value(variable)
        value = self._values.get(id(variable))
        return keras.ops.cast(value, self._dtype) if updated is None and value is not None else updated


@contextlib.contextmanager
def _casts_to(target: str) -> Iterator[None]:
    """Make `keras.ops.cast` give `target` wherever another floating-point type is asked for."""
    original = keras.ops.cast

    def cast(x: Any, dtype: Any) -> Any:
        asked_for = keras.backend.standardize_dtype(dtype)
        return original(x, target if is_float(asked_for) and "float8" not in asked_for else dtype)

    inner = (sys.modules.get(f"keras.src.ops{name}") for name in ("", ".core"))
    modules = [module for module in (keras.ops, *inner) if isinstance(module, ModuleType)]
    replaced = [module for module in modules if getattr(module, "cast", None) is original]
    try:
        for module in replaced:
            vars(module)["cast"] = cast
        yield
    finally:
        for module in replaced:
            vars(module)["cast"] = original


@contextlib.contextmanager
def _backend(eager: bool, wide: bool) -> Iterator[None]:
    """Let Keras and JAX use 64-bit numbers if `wide`, and TensorFlow run its functions eagerly or not."""
    with contextlib.ExitStack() as stack:
        if wide:
            stack.callback(BIT64_TO_BIT32_DTYPE.update, dict(BIT64_TO_BIT32_DTYPE))
            BIT64_TO_BIT32_DTYPE.update({name: name for name in ("float64", "int64")})
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            stack.callback(tf.config.run_functions_eagerly, tf.config.functions_run_eagerly())
            tf.config.run_functions_eagerly(eager)
        elif keras.backend.backend() == "jax" and wide:
            import jax

            # JAX moved the context manager in 0.8.
            where = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
            stack.enter_context(where.enable_x64(True))
        yield


def is_float(dtype: Any) -> bool:
    """Whether a Keras dtype is a floating-point type."""
    return "float" in str(dtype)
