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

import keras

from export.errors import UserError
from kerasnorm.speed.calls import inner_layers, is_fast
from kerasnorm.speed.report import speed_report
from kerasnorm.speed.threads import is_tensorflow_on_cpu


def speed_up(model: keras.Model, parts: int = 1, verbose: bool = False) -> keras.Model:
    """Let a model compute the same values in less time on CPU, in place. `restore` undoes it.

    This changes layers whose class is exactly `keras.layers.BatchNormalization`, `GroupNormalization` or `Dropout`,
    in the model and in the models within it:

    - BatchNormalization over the last axis in float32 uses TensorFlow's fused operation in training, which Keras 3
      does not use. The moving statistics are those of Keras (biased variance).
    - GroupNormalization over the last axis in float32 or float64 uses a gradient in closed form, see
      `kerasnorm.speed.ops.group_normalization`.
    - Dropout with a rate of 1/32 to 31/32 uses a cheaper mask in training, see `kerasnorm.speed.ops.dropout`.

    Outputs, gradients of any order and moving statistics agree with the stock layers to rounding. Dropout draws
    different masks from the same distribution. In every other case (another axis or dtype, a mask, synchronized
    statistics, inference) the layer runs its own code. Nothing changes if TensorFlow sees a GPU or Keras has another
    backend. `speed_report` says which layers are fast, and why the others are not.

    Args:
        model: a Functional, Sequential or subclassed model. Call this before `fit`.
        parts: the number of parts that a batch is split into. Pass what `set_threads` returns. The batch stays whole
            unless the model is a built Functional or Sequential model with one input, of layers that are known to
            treat each image separately.
        verbose: print the `speed_report`: a line for the batch and a line for each layer.

    Returns:
        The same model.

    Raises:
        UserError: `parts` is less than 1.
    """
    if parts < 1:
        raise UserError(f"parts: expected 1 or more, got {parts}")
    restore(model)
    if is_tensorflow_on_cpu():
        _replace_calls(model, parts)
    if verbose:
        print(speed_report(model))
    return model


def _replace_calls(model: keras.Model, parts: int) -> None:
    from kerasnorm.speed.layers import make_fast  # it imports TensorFlow
    from kerasnorm.speed.partition import run_in_parts, whole_reason

    for _, layer in inner_layers(model):
        make_fast(layer)
    if parts > 1 and whole_reason(model) is None:
        run_in_parts(model, parts)


def restore(model: keras.Model) -> keras.Model:
    """Undo `speed_up`: the model and its layers run Keras' own code again. Returns the same model."""
    for layer in (model, *(layer for _, layer in inner_layers(model))):
        if is_fast(layer):
            del layer.call
    model.train_function = model.test_function = model.predict_function = None  # they may be traced already
    return model
