"""Softmax, its logarithm, and sparsemax: the activations that normalize along an axis."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.lowerings.operands import cast, normalize_axes
from export.lowerings.registry import LoweringFunction, register_lowering, register_operation
from export.lowerings.sizes import size_of, size_vector

Axis = int | Sequence[int] | None

MASKED_LOGIT = -1e9
# Versions of Keras since which masked logits are replaced, not lowered, and masked probabilities are set to 0 besides.
REPLACED_SINCE, ZEROS_SINCE = (3, 13), (3, 14)


def softmax(g: Builder, x: Tensor, axis: Axis = -1) -> Tensor:
    """exp(x), divided by its sum along a Keras axis, several, or all."""
    x = _channels_in_place(g, x, axis)
    axes = sorted(g.axis(x, one) for one in normalize_axes(axis, x.rank))
    if len(axes) == 1:
        return g.like(x, g.op("Softmax", x.value, axis=axes[0]))
    powers = g.op("Exp", g.op("Sub", x.value, g.reduce("ReduceMax", x.value, axes)))
    return g.like(x, g.op("Div", powers, g.reduce("ReduceSum", powers, axes)))


def log_softmax(g: Builder, x: Tensor, axis: Axis = -1) -> Tensor:
    """The logarithm of the softmax."""
    x = _channels_in_place(g, x, axis)
    axes = sorted(g.axis(x, one) for one in normalize_axes(axis, x.rank))
    if len(axes) == 1:
        return g.like(x, g.op("LogSoftmax", x.value, axis=axes[0]))
    shifted = g.op("Sub", x.value, g.reduce("ReduceMax", x.value, axes))
    total = g.reduce("ReduceSum", g.op("Exp", shifted), axes)
    return g.like(x, g.op("Sub", shifted, g.op("Log", total)))


def _is_of_channels(x: Tensor, axis: Axis) -> bool:
    return normalize_axes(axis, x.rank) == [x.rank - 1]


def _channels_in_place(g: Builder, x: Tensor, axis: Axis) -> Tensor:
    """`x` in Keras' layout, if the axis is that of the channels."""
    # onnxruntime's Softmax is more than twice as fast along the last axis, a transpose included.
    return g.keras_layout(x) if _is_of_channels(x, axis) else x


def sparsemax(g: Builder, x: Tensor, axis: int = -1) -> Tensor:
    """The projection onto the probability simplex.

    Martins and Astudillo 2016, arXiv:1602.02068, algorithm 1, as Keras computes it: the algorithm takes the last
    cumulative sum within the support, Keras adds up all of them.
    """
    size, axis = size_vector(g, [size_of(g, x, axis)]), g.axis(x, axis)
    ordered, _ = g.op("TopK", x.value, size, axis=axis, outputs=2)
    position = np.array(axis, np.int64)
    sums = g.op("CumSum", ordered, position)
    ranks = g.op("CumSum", g.op("Expand", 1.0, g.op("Shape", x.value)), position)
    inside = g.op("Greater", g.op("Add", g.op("Mul", ordered, ranks), 1.0), sums)
    inside = g.op("Cast", inside, to=1)
    count = g.reduce("ReduceSum", inside, [axis])
    total = g.reduce("ReduceSum", g.op("Mul", sums, inside), [axis])
    tau = g.op("Div", g.op("Sub", total, 1.0), count)
    return g.like(x, g.op("Relu", g.op("Sub", x.value, tau)))


@register_lowering(keras.layers.Softmax, any_layout=True)
def lower_softmax(g: Builder, layer: keras.layers.Softmax, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax; positions where the mask is False get a probability of 0."""
    if mask is None:
        return softmax(g, x, layer.axis)
    if mask.rank == x.rank and not _is_of_channels(x, layer.axis):
        x, mask = g.same_layout([x, mask])
    else:
        x, mask = g.keras_layout(x), g.keras_layout(mask)
    version = tuple(map(int, keras.__version__.split(".")[:2]))
    if version < REPLACED_SINCE:
        masked = g.op("Mul", g.op("Sub", 1.0, cast(g, mask, "float32")), MASKED_LOGIT)
        return softmax(g, g.like(x, g.op("Add", x.value, masked)), layer.axis)
    kept = mask.value if mask.dtype == "bool" else g.op("Greater", cast(g, mask, "float32"), 0.5)
    result = softmax(g, g.like(x, g.op("Where", kept, x.value, MASKED_LOGIT)), layer.axis)
    return result if version < ZEROS_SINCE else g.like(result, g.op("Where", kept, result.value, 0.0))


def _operation(function: LoweringFunction) -> LoweringFunction:
    return lambda g, operation, x: function(g, x, operation.axis)


register_operation("softmax")(_operation(softmax))
register_operation("log_softmax")(_operation(log_softmax))
register_operation("sparsemax")(_operation(sparsemax))
