"""Cross-entropies between targets and predictions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from export.builder import Builder, Tensor
from export.lowerings.composition import Symbol
from export.lowerings.operands import Argument
from export.lowerings.registry import register_operation


def logits_of(g: Builder, x: Argument, op_type: str) -> Tensor | None:
    """What a softmax or sigmoid made `x` of. Keras computes a loss from it, which loses no small probabilities."""
    node = x.value.producer() if isinstance(x, Tensor) else None
    if not isinstance(x, Tensor) or node is None or node.op_type != op_type or node.inputs[0] is None:
        return None
    return g.like(x, node.inputs[0])


def _clipped(probabilities: Symbol) -> Symbol:
    return ops.clip(probabilities, keras.config.epsilon(), 1.0 - keras.config.epsilon())


def binary(target: Symbol, output: Symbol, from_logits: bool) -> Symbol:
    """-t log(p) - (1 - t) log(1 - p)."""
    if from_logits:
        return ops.relu(output) - output * target + ops.softplus(-ops.abs(output))
    output = _clipped(output)
    return -(target * ops.log(output) + (1.0 - target) * ops.log(1.0 - output))


def categorical(target: Symbol, output: Symbol, from_logits: bool, axis: int) -> Symbol:
    """The sum of -t log(p) over the classes."""
    if from_logits:
        return -ops.sum(target * ops.log_softmax(output, axis=axis), axis=axis)
    output = output / ops.sum(output, axis=axis, keepdims=True)
    return -ops.sum(target * ops.log(_clipped(output)), axis=axis)


def sparse_categorical(target: Symbol, output: Symbol, from_logits: bool) -> Symbol:
    """-log(p) of the class that the target names."""
    if len(target.shape) == len(output.shape):
        target = ops.squeeze(target, -1)
    logits = output if from_logits else ops.log(_clipped(output))
    wanted = ops.one_hot(target, output.shape[-1], dtype=output.dtype)
    return -ops.sum(wanted * ops.log_softmax(logits), axis=-1)


@register_operation("binary_crossentropy")
def lower_binary(g: Builder, operation: keras.Operation, target: Argument, output: Argument) -> Tensor:
    """keras.ops.binary_crossentropy."""
    logits = logits_of(g, output, "Sigmoid")
    given: Any = output if logits is None else logits
    return g.lower(binary, target, given, operation.from_logits or logits is not None)


@register_operation("categorical_crossentropy")
def lower_categorical(g: Builder, operation: keras.Operation, target: Argument, output: Argument) -> Tensor:
    """keras.ops.categorical_crossentropy."""
    logits = logits_of(g, output, "Softmax")
    given: Any = output if logits is None else logits
    return g.lower(categorical, target, given, operation.from_logits or logits is not None, operation.axis)


@register_operation("sparse_categorical_crossentropy")
def lower_sparse_categorical(
    g: Builder, operation: keras.Operation, target: Argument, output: Argument
) -> Tensor:
    """keras.ops.sparse_categorical_crossentropy."""
    logits = logits_of(g, output, "Softmax")
    given: Any = output if logits is None else logits
    return g.lower(sparse_categorical, target, given, operation.from_logits or logits is not None)
