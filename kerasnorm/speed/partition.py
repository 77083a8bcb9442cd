"""A batch that goes through a Functional or Sequential model in parts, side by side.

The parts share the statistics of batch normalization, so the results are those of the whole batch. A model is
divisible if it is known that all its other layers treat each image separately.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from export.keras_graph import functional, interpret, nodes
from kerasnorm.speed.layers import can_fuse, is_fused, normalize_batch

# Layers that treat each image of a batch separately.
# fmt: off
_PER_IMAGE_LAYERS = (
    layers.InputLayer, layers.Rescaling, layers.Dense, layers.Flatten, layers.Reshape, layers.Permute,
    layers.Conv1D, layers.Conv2D, layers.Conv3D,
    layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Conv2DTranspose,
    layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
    layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D,
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
    layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D,
    layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D, layers.Cropping2D, layers.UpSampling2D,
    layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU, layers.Softmax,
    layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum,
    layers.Concatenate, layers.GroupNormalization, layers.LayerNormalization,
    layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise, layers.GaussianDropout,
)
# fmt: on


def is_divisible(model: keras.Model) -> bool:
    """Whether a batch that goes through the model in parts gives the results of the whole batch."""
    graph = functional(model)
    if graph is None or any(tensor.shape[0] is not None for tensor in keras.tree.flatten(graph.inputs)):
        return False
    return all(_is_layer_divisible(node.operation, len(node.input_tensors[0].shape)) for node in nodes(graph))


def _is_layer_divisible(layer: Any, rank: int) -> bool:
    if isinstance(layer, keras.Model):
        return is_divisible(layer)
    if type(layer) is layers.BatchNormalization:
        return can_fuse(layer, rank)
    axes = keras.tree.flatten(getattr(layer, "axis", None))
    return (
        type(layer) in _PER_IMAGE_LAYERS
        and not any(axis in (0, -rank) for axis in axes)  # the axis of the batch
        and getattr(layer, "activity_regularizer", None) is None  # Keras divides its loss by the batch size
    )


@dataclass(frozen=True)
class _Parts:
    """A tensor that is split along the batch. It is no list because `keras.tree` would flatten one."""

    values: list[tf.Tensor]


def call_in_parts(parts: int) -> Callable[..., Any]:
    """Return a `call` method for a divisible model that splits the batch into `parts`.

    It calls the model's own method for symbolic inputs, masks and inputs of another rank than the model declares.
    """

    def call(self: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        graph: Any = functional(self)
        flat = keras.tree.flatten(inputs)
        symbolic = keras.tree.flatten(graph.inputs)
        whole = mask is not None or any(isinstance(value, keras.KerasTensor) for value in flat)
        whole = whole or [len(value.shape) for value in flat] != [len(value.shape) for value in symbolic]
        if whole or not isinstance(training, (bool, type(None))):
            return type(self).call(self, inputs, training=training, mask=mask)
        # No part may be empty: TensorFlow's convolution returns a wrong shape for no images. A batch with fewer
        # images than parts is repeated, which changes no mean and no variance. (A tf.cond for this rare case
        # would take a sixth of every step.)
        batch = tf.shape(flat[0])[0]
        copies = tf.where(batch < parts, parts, 1)
        indices = tf.range(batch * copies) // copies
        bounds = [batch * copies * index // parts for index in range(parts + 1)]
        split = []
        for value, tensor in zip(flat, symbolic, strict=True):
            images = tf.gather(tf.cast(value, tensor.dtype), indices)
            split.append(_Parts([images[start:stop] for start, stop in itertools.pairwise(bounds)]))
        outputs = []
        for output in _run(graph, split, training):
            joined = tf.concat(output.values, axis=0)
            outputs.append(tf.ensure_shape(joined[::copies], (flat[0].shape[0], *joined.shape[1:])))
        return keras.tree.pack_sequence_as(graph._outputs_struct, outputs)

    return call


def _run(graph: Any, inputs: list[_Parts], training: bool | None) -> list[_Parts]:
    """Run a Functional model on inputs in parts, layer by layer."""

    def evaluate(layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[_Parts]:
        tensors = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, _Parts)]
        if isinstance(layer, keras.Model):
            return _run(functional(layer), tensors, training)
        if training is not None and "training" in inspect.signature(layer.call).parameters:
            # As Keras does: the graph may hold the training=False that it was built with.
            kwargs = {**kwargs, "training": training}
        is_batch_norm = type(layer) is layers.BatchNormalization
        if is_batch_norm and is_fused(layer, tensors[0].values[0], kwargs.get("training")):
            return [_Parts(normalize_batch(layer, tensors[0].values))]
        outputs = []
        for index in range(len(tensors[0].values)):
            part_args, part_kwargs = _part((args, kwargs), index)
            outputs.append(keras.tree.flatten(layer(*part_args, **part_kwargs)))
        return [_Parts(list(output)) for output in zip(*outputs, strict=True)]

    return interpret(graph, inputs, evaluate)


def _part(arguments: Any, index: int) -> Any:
    """The arguments of a call with one part in the place of each tensor."""
    return keras.tree.map_structure(lambda x: x.values[index] if isinstance(x, _Parts) else x, arguments)
