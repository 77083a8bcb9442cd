"""A batch that goes through a Functional or Sequential model in parts, side by side.

The parts share the statistics of batch normalization, so the results are those of the whole batch. This is done for
one kind of model only: Keras' own Functional or Sequential class, with one input, of layers that are known to treat
each image separately. Every call checks this again, because layers can be added and attributes can be changed.
"""

from __future__ import annotations

import inspect
import itertools
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import activations, layers
from keras.src.models.functional import Functional  # Keras has no public name for it

from export.keras_graph import functional, interpret, nodes
from kerasnorm.normalizations import (
    DynamicTanh,
    RootMeanSquareNormalization,
    StandardizedConv2D,
    ThresholdedFilterResponseNormalization,
)
from kerasnorm.speed.calls import is_replaced
from kerasnorm.speed.layers import normalize_batch, stock_reason

# Layers that treat each image of a batch separately, apart from their axis and activation.
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
    RootMeanSquareNormalization, ThresholdedFilterResponseNormalization, DynamicTanh, StandardizedConv2D,
)

# Functions that treat each element separately, or the values along the last axis together.
_PER_IMAGE_ACTIVATIONS = (
    activations.linear, activations.relu, activations.relu6, activations.leaky_relu, activations.elu,
    activations.selu, activations.gelu, activations.silu, activations.mish, activations.softplus,
    activations.softsign, activations.tanh, activations.sigmoid, activations.hard_sigmoid, activations.hard_silu,
    activations.exponential, activations.softmax, activations.log_softmax,
)
# fmt: on


def whole_reason(model: keras.Model) -> str | None:
    """Why a batch must go through a model whole; None if it can go in parts."""
    if type(model) not in (Functional, keras.Sequential):
        return f"{type(model).__name__} is not Keras' own Functional or Sequential class"
    if is_replaced(model):
        return f"the call method of {model.name} has been replaced"
    graph = functional(model)
    if graph is None:
        return f"{model.name} has not been built"
    if len(graph.inputs) != 1:
        return f"{model.name} has {len(graph.inputs)} inputs"
    (symbolic,) = graph.inputs
    if symbolic.shape[0] is not None or getattr(symbolic, "sparse", False):
        return f"{model.name} has a fixed batch size or a sparse input"
    for node in nodes(graph):
        reason = _node_reason(node)
        if reason is not None:
            return f"{node.operation.name} ({type(node.operation).__name__}) {reason}"
    return None


def _node_reason(node: Any) -> str | None:
    """Why a call in the graph of a model needs the whole batch; None if it can be made for each part."""
    layer = node.operation
    if (
        not isinstance(layer, (keras.Model, layers.BatchNormalization))
        and type(layer) not in _PER_IMAGE_LAYERS
    ):
        return "may mix the images of a batch"
    arguments = keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
    if any(not isinstance(value, (keras.KerasTensor, bool, type(None))) for value in arguments):
        return "is called with a constant"
    if any(len(tensor.shape) < 2 for tensor in (*node.input_tensors, *node.outputs)):
        return "has an input or output of rank 1"
    if isinstance(layer, keras.Model):
        return _nested_reason(layer, node.input_tensors)
    if isinstance(layer, layers.BatchNormalization):
        reason = stock_reason(layer)
        if reason is None and (len(node.input_tensors) != 1 or node.input_tensors[0].dtype != "float32"):
            reason = "its input is not one float32 tensor"
    else:
        reason = _layer_reason(layer, len(node.input_tensors[0].shape))
    return f"needs the whole batch: {reason}" if reason else None


def _nested_reason(model: keras.Model, inputs: Sequence[Any]) -> str | None:
    reason = whole_reason(model)
    if reason is not None:
        return f"contains a model that takes its batch whole: {reason}"
    (symbolic,) = functional(model).inputs  # type: ignore[union-attr]
    if len(inputs) != 1 or (inputs[0].dtype, len(inputs[0].shape)) != (symbolic.dtype, len(symbolic.shape)):
        return "converts its input"
    return None


def _layer_reason(layer: keras.layers.Layer, rank: int) -> str | None:
    if is_replaced(layer):
        return "its call method has been replaced"
    if getattr(layer, "_remat_mode", None) or getattr(layer, "quantization_mode", None):
        return "it is rematerialized or quantized"
    if layer.activity_regularizer is not None:
        return "Keras divides its activity regularization by the batch size"
    if any(axis in (0, -rank) for axis in keras.tree.flatten(getattr(layer, "axis", None))):
        return "its axis is that of the batch"
    if getattr(layer, "noise_shape", None) is not None:
        return "it has a noise_shape"
    if isinstance(layer, layers.Rescaling) and max(np.ndim(layer.scale), np.ndim(layer.offset)) > 1:
        return "its scale or offset may have a batch axis"
    if getattr(layer, "activation", activations.linear) not in _PER_IMAGE_ACTIVATIONS:
        return "its activation is not a known one"
    return None


def run_in_parts(model: keras.Model, parts: int) -> None:
    """Replace the `call` of a model without a `whole_reason` by one that splits the batch into parts."""
    model.call = types.MethodType(InParts(parts), model)


@dataclass(frozen=True)
class _Parts:
    """A tensor that is split along the batch. It is no list because `keras.tree` would flatten one."""

    values: list[tf.Tensor]


@dataclass(frozen=True)
class InParts:
    """The `call` method of a model whose batch goes through it in parts.

    In a call that does not say `training=True` or `training=False`, with a mask, with a batch that is known to be
    smaller than the number of parts, or if the model has a `whole_reason`, the model runs its own method.
    """

    parts: int

    def __call__(self, model: Any, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        """Call the model, as its bound method."""
        tensors = keras.tree.flatten(inputs)
        masks = [*keras.tree.flatten(mask), *(getattr(value, "_keras_mask", None) for value in tensors)]
        applies = (
            not kwargs
            and isinstance(training, bool)
            and all(value is None for value in masks)
            and not any(isinstance(value, keras.KerasTensor) for value in tensors)
            and whole_reason(model) is None
        )
        if applies:
            graph: Any = functional(model)
            (x,) = graph._standardize_inputs(inputs)
            if isinstance(x, tf.Tensor) and (x.shape[0] is None or x.shape[0] >= self.parts):
                return _run(graph, x, self.parts, training)
        return type(model).call(model, inputs, training=training, mask=mask, **kwargs)


def _run(graph: Any, x: tf.Tensor, parts: int, training: bool) -> Any:
    """Run a Functional model on a batch in parts, and return the outputs as Keras does."""
    # No part may be empty: TensorFlow's convolution returns a wrong shape for no images. If the batch has fewer images
    # than parts, the other parts hold an image of zeros that does not count. (A tf.cond for this rare case would take
    # a sixth of every step.)
    batch = tf.shape(x)[0]
    padding = tf.zeros(tf.concat([[tf.maximum(parts - batch, 0)], tf.shape(x)[1:]], 0), x.dtype)
    padded = tf.concat([x, padding], 0)
    size = tf.maximum(batch, parts)
    bounds = [size * index // parts for index in range(parts + 1)]
    split = [tf.ensure_shape(padded[i:j], (None, *x.shape[1:])) for i, j in itertools.pairwise(bounds)]
    counted = [tf.cast(index < batch, tf.float32) for index in range(parts)]

    def join(output: _Parts) -> tf.Tensor:
        joined = tf.concat(output.values, axis=0)[:batch]
        return tf.ensure_shape(joined, (x.shape[0], *joined.shape[1:]))

    outputs = [join(output) for output in _evaluate(graph, _Parts(split), training, counted)]
    structure = keras.tree.pack_sequence_as(graph._outputs_struct, outputs)
    is_single = isinstance(structure, (list, tuple)) and len(structure) == 1
    return structure[0] if is_single else structure  # as Functional.call does


def _evaluate(graph: Any, x: _Parts, training: bool, counted: list[tf.Tensor]) -> list[_Parts]:
    """Run a Functional model on an input in parts, layer by layer."""

    def evaluate(layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[_Parts]:
        tensors = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, _Parts)]
        if isinstance(layer, keras.Model):
            return _evaluate(functional(layer), tensors[0], training, counted)
        if type(layer) is layers.BatchNormalization and training and layer.trainable:
            return [_Parts(normalize_batch(layer, tensors[0].values, counted))]
        if "training" in inspect.signature(layer.call).parameters:
            kwargs = {**kwargs, "training": training}  # it precedes what the graph has recorded, as in Keras
        outputs = []
        for index in range(len(counted)):
            part_args, part_kwargs = _part((args, kwargs), index)
            outputs.append(keras.tree.flatten(layer(*part_args, **part_kwargs)))
        return [_Parts(list(output)) for output in zip(*outputs, strict=True)]

    return interpret(graph, [x], evaluate)


def _part(arguments: Any, index: int) -> Any:
    """The arguments of a call with one part in the place of each tensor."""
    return keras.tree.map_structure(lambda x: x.values[index] if isinstance(x, _Parts) else x, arguments)
