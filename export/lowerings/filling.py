"""Tensors of one value, in the shape of another tensor."""

from __future__ import annotations

import keras

from export.builder import Builder, Tensor
from export.lowerings.operands import Argument, as_int64, as_value, rank
from export.lowerings.registry import LoweringFunction, register_operation


def fill(g: Builder, x: Argument, value: Argument) -> Tensor:
    """`value`, repeated to the shape of the call's output, which is that of `x`."""
    shape, number = g.output_shapes[0], as_value(g, value, g.output_dtypes[0])
    known = [size for size in shape if size is not None]
    if not isinstance(x, Tensor) or len(known) == len(shape):
        return g.result(g.op("Expand", number, as_int64(*known)))
    if rank(value):
        x = g.keras_layout(x)
    return g.result(g.op("Expand", number, g.op("Shape", x.value)), x)


def _filling(value: float) -> LoweringFunction:
    # Before Keras 3.10, the dtype is an argument of the call.
    return lambda g, operation, x, dtype=None: fill(g, x, value)


register_operation("zeros_like")(_filling(0.0))
register_operation("empty_like", optional=True)(_filling(0.0))
register_operation("ones_like")(_filling(1.0))


@register_operation("full_like")
def lower_full_like(
    g: Builder, operation: keras.Operation, x: Argument, fill_value: Argument, dtype: str | None = None
) -> Tensor:
    """`fill_value` in the shape of `x`."""
    return fill(g, x, fill_value)
