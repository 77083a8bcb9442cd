"""speed_up: the stock layers of a Keras model compute the same numbers by faster CPU kernels, on all cores.

Two things are gained. Normalization and dropout take fewer passes over the activations (`kerasnorm.kernels`).
And the batch is cut into parts, one for a core, that go through the model side by side: operations of one
thread each keep all cores busy, where operations that share the cores would wait for each other hundreds of
times in a step. The parts share the statistics of batch normalization, so the numbers stay those of the batch.

The layers stay what they are, with their weights, configuration and class: only their `call` is replaced,
so that what `model.save` writes is a stock Keras model.
"""

from __future__ import annotations

import inspect
import itertools
import math
import os
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from export.errors import UserError
from export.keras_graph import functional, interpret, nodes

# Below this rate a byte of randomness resolves the threshold of a dropout too coarsely.
_LEAST_RATE = 1 / 32

# More parts than this would be of few images each; cores beyond it share the operations instead.
_MOST_PARTS = 4

# Steps in one call of a compiled training function: beyond some ten, the pause between two calls hardly counts.
_MOST_STEPS = 32

# Layers that treat each image of a batch by itself, so that a batch may go through them in parts.
_EACH_BY_ITSELF = tuple(
    getattr(keras.layers, name)
    for name in (
        *("InputLayer", "Rescaling", "Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2D"),
        *("SeparableConv2D", "Conv2DTranspose", "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax"),
        *("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"),
        *("AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "GlobalAveragePooling1D"),
        *("GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling3D", "ZeroPadding1D"),
        *("ZeroPadding2D", "ZeroPadding3D", "Cropping2D", "UpSampling2D", "Flatten", "Reshape", "Permute"),
        *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"),
        *("GroupNormalization", "LayerNormalization", "Dropout", "SpatialDropout2D", "GaussianNoise"),
        "GaussianDropout",
    )
)


def available_cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads() -> int:
    """Let TensorFlow run each operation on one thread, and as many operations at a time as there are cores.

    That is the setting for `speed_up` with parts; call it before TensorFlow does anything. With more than four
    cores, operations get cores // 4 threads each.

    Returns:
        The number of parts that suit the setting: the number of cores, 4 at most. 1, and nothing is changed,
        where TensorFlow runs already with another setting, sees a GPU, or is not Keras' backend.
    """
    if not _supported():
        return 1
    import tensorflow as tf

    cores = available_cores()
    parts = min(cores, _MOST_PARTS)
    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(cores // parts)
        threading.set_inter_op_parallelism_threads(parts)
    except RuntimeError:  # TensorFlow runs already
        wanted = (cores // parts, parts)
        is_set = (
            threading.get_intra_op_parallelism_threads(),
            threading.get_inter_op_parallelism_threads(),
        )
        return parts if is_set == wanted else 1
    return parts


def steps_per_execution(steps: int) -> int:
    """How many steps to train in one call: the largest divisor of `steps`, 32 at most.

    For `model.compile(steps_per_execution=...)`. A divisor, because Keras goes on to the end of an execution
    where it doesn't end with the epoch's last step.

    Args:
        steps: steps of an epoch, 1 or more.
    """
    return max(n for n in range(1, min(steps, _MOST_STEPS) + 1) if steps % n == 0)


def speed_up(model: keras.Model, parts: int = 1) -> keras.Model:
    """Let a model compute the same numbers by faster kernels on CPU, in place; `restore` undoes it.

    Touched are layers whose class is exactly `keras.layers.BatchNormalization`, `GroupNormalization` or
    `Dropout`, in nested models too; of any number of channels, groups, axis, epsilon and dtype:

    - BatchNormalization in float32 over the last axis: TensorFlow's fused kernel, which Keras 3 does not
      use. The moving statistics are Keras' own (biased variance).
    - GroupNormalization over the last axis in float32 or float64: its gradient in closed form over sums per
      image and channel, see `kernels.group_normalization`.
    - Dropout of rate 1/32 or more: a cheaper mask, see `kernels.dropout`.

    Outputs, gradients and moving statistics agree with the stock layers' to rounding; dropout draws other
    masks of the same distribution. Everything else (another axis or dtype, a mask, synchronized statistics,
    inference) is computed by the layer's own code, and where TensorFlow sees a GPU, or Keras has another
    backend, nothing is changed at all. Second derivatives of what is faster raise a LookupError.

    Args:
        model: a Functional, Sequential or subclassed model; call this before `fit`.
        parts: the number of parts in which a batch goes through a Functional or Sequential model, side by
            side; take what `set_threads` returns. A model with a layer that is not known to treat the
            images of a batch each by itself takes its batches whole.

    Returns:
        The same model.

    Raises:
        UserError: `parts` is less than 1.
    """
    if parts < 1:
        raise UserError(f"parts: expected 1 or more, got {parts}")
    restore(model)
    if not _supported():
        return model
    for layer in _layers(model):
        call = _CALLS.get(type(layer))
        if call is not None:
            layer.call = types.MethodType(call, layer)
    if parts > 1 and _is_divisible(model):
        model.call = types.MethodType(_call_in_parts(parts), model)
    return model


def restore(model: keras.Model) -> keras.Model:
    """Undo `speed_up`: the model and its layers compute by Keras' own code again."""
    for layer in (model, *_layers(model)):
        if getattr(layer.__dict__.get("call"), "__module__", None) == __name__:
            del layer.call
    model.train_function = model.test_function = model.predict_function = None  # may be traced already
    return model


def _supported() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")  # of logical ones TensorFlow tells only once it runs


def _layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    for inner in getattr(layer, "layers", []):
        yield inner
        yield from _layers(inner)
    wrapped = getattr(layer, "layer", None)  # TimeDistributed and other wrappers
    if isinstance(wrapped, keras.layers.Layer):
        yield wrapped
        yield from _layers(wrapped)


@dataclass(frozen=True)
class _Parts:
    """A tensor in parts along the batch. Not a list: keras.tree would look inside."""

    values: list[Any]


def _is_divisible(model: Any) -> bool:
    """Whether a batch can go through the model in parts and give the numbers of the whole."""
    graph = functional(model)
    if graph is None or any(tensor.shape[0] is not None for tensor in keras.tree.flatten(graph.inputs)):
        return False
    return all(_divides(node.operation, len(node.input_tensors[0].shape)) for node in nodes(graph))


def _divides(layer: Any, rank: int) -> bool:
    if isinstance(layer, keras.Model):
        return _is_divisible(layer)
    if type(layer) is keras.layers.BatchNormalization:
        return _can_be_fused(layer, rank)
    axes = keras.tree.flatten(getattr(layer, "axis", None))
    return (
        type(layer) in _EACH_BY_ITSELF
        and not any(axis in (0, -rank) for axis in axes)  # across the batch
        and getattr(layer, "activity_regularizer", None) is None  # its loss is divided by the batch size
    )


def _call_in_parts(parts: int) -> Callable[..., Any]:
    def call_in_parts(self: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        import tensorflow as tf

        graph: Any = functional(self)
        flat = keras.tree.flatten(inputs)
        symbolic = keras.tree.flatten(graph.inputs)
        whole = mask is not None or any(isinstance(value, keras.KerasTensor) for value in flat)
        whole = whole or [len(value.shape) for value in flat] != [len(value.shape) for value in symbolic]
        if whole or not isinstance(training, (bool, type(None))):
            return type(self).call(self, inputs, training=training, mask=mask)
        # No part may be empty: TensorFlow's convolution of nothing has a wrong shape. A batch of fewer images
        # than parts goes through several times over, which changes no mean and no variance. (A tf.cond for
        # this rare case would cost a sixth of every step.)
        batch = tf.shape(flat[0])[0]
        copies = tf.where(batch < parts, parts, 1)
        places = tf.range(batch * copies) // copies
        bounds = [batch * copies * index // parts for index in range(parts + 1)]
        cut = []
        for value, tensor in zip(flat, symbolic, strict=True):
            images = tf.gather(tf.cast(value, tensor.dtype), places)
            cut.append(_Parts([images[a:b] for a, b in itertools.pairwise(bounds)]))
        outputs = []
        for output in _run(graph, cut, training):
            joined = tf.concat(output.values, axis=0)
            outputs.append(tf.ensure_shape(joined[::copies], (flat[0].shape[0], *joined.shape[1:])))
        return keras.tree.pack_sequence_as(graph._outputs_struct, outputs)

    return call_in_parts


def _run(graph: Any, inputs: list[_Parts], training: bool | None) -> list[_Parts]:
    def call(layer: Any, args: Any, kwargs: Any, shapes: list[Any]) -> list[_Parts]:
        tensors = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, _Parts)]
        if isinstance(layer, keras.Model):
            return _run(functional(layer), tensors, training)
        if training is not None and "training" in inspect.signature(layer.call).parameters:
            # As Keras does: the graph remembers the False of its building.
            kwargs = {**kwargs, "training": training}
        fused = type(layer) is keras.layers.BatchNormalization
        if fused and _is_fused(layer, tensors[0].values[0], kwargs.get("training")):
            return [_Parts(_batch_normalization(layer, tensors[0].values))]
        outputs = []
        for index in range(len(tensors[0].values)):
            pick = lambda x: x.values[index] if isinstance(x, _Parts) else x  # noqa: B023, E731
            part_args, part_kwargs = keras.tree.map_structure(pick, (args, kwargs))
            outputs.append(keras.tree.flatten(layer(*part_args, **part_kwargs)))
        return [_Parts(list(output)) for output in zip(*outputs, strict=True)]

    return interpret(graph, inputs, call)


def _can_be_fused(layer: keras.layers.BatchNormalization, rank: int) -> bool:
    return (
        layer.axis in (-1, rank - 1)
        and not layer.synchronized
        and not getattr(layer, "renorm", False)
        and layer.compute_dtype == layer.variable_dtype == "float32"
    )


def _is_fused(layer: keras.layers.BatchNormalization, inputs: Any, training: Any) -> bool:
    return (
        training is True
        and layer.trainable
        and inputs.dtype == "float32"
        and _can_be_fused(layer, len(inputs.shape))
        and getattr(inputs, "_keras_mask", None) is None
    )


def _batch_normalization_call(
    self: keras.layers.BatchNormalization, inputs: Any, training: Any = None, mask: Any = None
) -> Any:
    if mask is not None or not _is_fused(self, inputs, training):
        return keras.layers.BatchNormalization.call(self, inputs, training=training, mask=mask)
    return _batch_normalization(self, [inputs])[0]


def _batch_normalization(layer: keras.layers.BatchNormalization, parts: list[Any]) -> list[Any]:
    """Normalize a batch that comes in parts, and update the layer's moving statistics."""
    import tensorflow as tf

    from kerasnorm.kernels import batch_normalization

    channels = parts[0].shape[-1]
    images = [tf.reshape(part, (-1, 1, 1, channels)) if len(part.shape) != 4 else part for part in parts]
    gamma = tf.ones(channels) if layer.gamma is None else tf.convert_to_tensor(layer.gamma)
    beta = tf.zeros(channels) if layer.beta is None else tf.convert_to_tensor(layer.beta)
    outputs, mean, variance = batch_normalization(images, gamma, beta, layer.epsilon)
    momentum = layer.momentum
    layer.moving_mean.assign(layer.moving_mean * momentum + mean * (1 - momentum))
    layer.moving_variance.assign(layer.moving_variance * momentum + variance * (1 - momentum))
    return [tf.ensure_shape(tf.reshape(y, tf.shape(x)), x.shape) for x, y in zip(parts, outputs, strict=True)]


def _group_normalization_call(self: keras.layers.GroupNormalization, inputs: Any) -> Any:
    rank = len(inputs.shape)
    floats = inputs.dtype in ("float32", "float64") and inputs.dtype == self.compute_dtype
    if isinstance(inputs, keras.KerasTensor) or rank < 3 or self.axis not in (-1, rank - 1) or not floats:
        return keras.layers.GroupNormalization.call(self, inputs)
    import tensorflow as tf

    from kerasnorm.kernels import group_normalization

    channels, dtype = inputs.shape[-1], inputs.dtype
    gamma = tf.ones(channels, dtype) if self.gamma is None else tf.cast(self.gamma, dtype)
    beta = tf.zeros(channels, dtype) if self.beta is None else tf.cast(self.beta, dtype)
    groups = channels if self.groups == -1 else self.groups
    return group_normalization(inputs, gamma, beta, groups, self.epsilon)


def _dropout_call(self: keras.layers.Dropout, inputs: Any, training: Any = False) -> Any:
    plain = (
        training is True
        and not isinstance(inputs, keras.KerasTensor)
        and getattr(self, "noise_shape", None) is None
        and inputs.dtype in ("float32", "float64")
        and None not in inputs.shape[1:]
        and math.prod(inputs.shape[1:]) > 0
        and self.rate >= _LEAST_RATE
    )
    if not plain:
        return keras.layers.Dropout.call(self, inputs, training=training)
    from kerasnorm.kernels import dropout

    return dropout(inputs, self.rate, self.seed_generator.next())


_CALLS: dict[type, Callable[..., Any]] = {
    keras.layers.BatchNormalization: _batch_normalization_call,
    keras.layers.GroupNormalization: _group_normalization_call,
    keras.layers.Dropout: _dropout_call,
}
