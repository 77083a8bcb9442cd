"""Connectionist temporal classification: labels from the scores of each step."""

from __future__ import annotations

from typing import Any

import keras

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import Argument
from export.lowerings.registry import register_operation

ops = keras.ops


@register_operation("ctc_decode")
def lower_ctc_decode(g: Builder, operation: Any, inputs: Tensor, sequence_lengths: Argument) -> list[Tensor]:
    """The best label of each step, without blanks and repetitions, then -1; and minus the sum of their scores."""
    if operation.strategy != "greedy":
        raise Unsupported(
            f"ctc_decode with strategy={operation.strategy!r}; ONNX has no beam search over labels"
        )
    classes = inputs.shape[-1]
    if classes is None:
        raise Unsupported("ctc_decode of a dynamic number of classes")
    blank = operation.mask_index % classes

    def steps(x: Any, lengths: Any) -> Any:
        batch, number = ops.shape(x)[:2]
        labels = ops.argmax(x, axis=-1)
        counts = ops.less(ops.expand_dims(ops.arange(number), 0), ops.expand_dims(lengths, 1))
        scores = -ops.sum(ops.where(counts, ops.max(x, axis=-1), 0.0), axis=1, keepdims=True)
        kept = ops.logical_and(counts, labels != blank)
        if operation.merge_repeated:
            previous = ops.concatenate([ops.full((batch, 1), -1, "int32"), labels[:, :-1]], axis=1)
            kept = ops.logical_and(kept, labels != previous)
        # What is left out goes to a column after the last one.
        places = ops.where(kept, ops.cumsum(ops.cast(kept, "int32"), axis=1) - 1, number)
        return labels, places, scores, ops.full((batch, number + 1), -1, "int32")

    labels, places, scores, empty = g.lower(steps, inputs, sequence_lengths)
    filled = g.op("ScatterElements", empty.value, places.value, labels.value, axis=1)
    decoded = g.lower(lambda x: ops.expand_dims(x[:, :-1], 0), g.like(empty, filled))
    return [decoded, scores]
