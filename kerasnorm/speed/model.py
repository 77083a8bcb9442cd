"""speed_up: a Keras model that computes the same values in less time on CPU; restore undoes it.

Training gets faster in two ways:

- Normalization and dropout take fewer passes over the activations (`kerasnorm.speed.ops`).
- The batch is split into parts, one per core, that go through the model side by side (`kerasnorm.speed.partition`).
  Single-threaded operations then keep all cores busy. Operations that share the cores would instead wait for
  each other hundreds of times in a step.

The layers keep their classes, weights and configurations. Only their `call` is replaced, on the instance, so
`model.save` writes a stock Keras model.
"""

from __future__ import annotations

import types
from collections.abc import Iterator

import keras

from export.errors import UserError
from kerasnorm.speed.threads import is_tensorflow_on_cpu


def speed_up(model: keras.Model, parts: int = 1) -> keras.Model:
    """Let a model compute the same values in less time on CPU, in place. `restore` undoes it.

    This changes layers whose class is exactly `keras.layers.BatchNormalization`, `GroupNormalization` or `Dropout`,
    also in nested models:

    - BatchNormalization over the last axis in float32 uses TensorFlow's fused operation, which Keras 3 does not use.
      The moving statistics are those of Keras (biased variance).
    - GroupNormalization over the last axis in float32 or float64 uses a gradient in closed form, see
      `kerasnorm.speed.ops.group_normalization`.
    - Dropout with a rate of 1/32 or more uses a cheaper mask, see `kerasnorm.speed.ops.dropout`.

    Outputs, gradients and moving statistics agree with the stock layers to rounding. Dropout draws different masks
    from the same distribution. In every other case (another axis or dtype, a mask, synchronized statistics,
    inference) the layer runs its own code. Nothing changes if TensorFlow sees a GPU or Keras has another backend.
    The faster layers have no second derivatives: computing one raises a LookupError.

    Args:
        model: a Functional, Sequential or subclassed model. Call this before `fit`.
        parts: the number of parts that a batch is split into, for a Functional or Sequential model. Pass what
            `set_threads` returns. The batch stays whole if the model has a layer that may mix the images of a batch.

    Returns:
        The same model.

    Raises:
        UserError: `parts` is less than 1.
    """
    if parts < 1:
        raise UserError(f"parts: expected 1 or more, got {parts}")
    restore(model)
    if not is_tensorflow_on_cpu():
        return model
    from kerasnorm.speed.layers import FAST_CALLS  # it imports TensorFlow
    from kerasnorm.speed.partition import call_in_parts, is_divisible

    for layer in _inner_layers(model):
        call = FAST_CALLS.get(type(layer))
        if call is not None:
            layer.call = types.MethodType(call, layer)
    if parts > 1 and is_divisible(model):
        model.call = types.MethodType(call_in_parts(parts), model)
    return model


def restore(model: keras.Model) -> keras.Model:
    """Undo `speed_up`: the model and its layers run Keras' own code again. Returns the same model."""
    for layer in (model, *_inner_layers(model)):
        if str(getattr(vars(layer).get("call"), "__module__", "")).startswith(f"{__package__}."):
            del layer.call
    model.train_function = model.test_function = model.predict_function = None  # they may be traced already
    return model


def _inner_layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """All layers within a layer or model: those of nested models and of wrappers such as TimeDistributed, too."""
    for inner in getattr(layer, "layers", []):
        yield inner
        yield from _inner_layers(inner)
    wrapped = getattr(layer, "layer", None)
    if isinstance(wrapped, keras.layers.Layer):
        yield wrapped
        yield from _inner_layers(wrapped)
