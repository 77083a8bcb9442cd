"""Layers that merge several tensors of one rank."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import keras

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.registry import register_lowering

layers = keras.layers


def _merge(g: Builder, tensors: Sequence[Tensor], op_type: str) -> Tensor:
    if len({x.rank for x in tensors}) > 1:
        raise Unsupported(f"it merges tensors of ranks {[x.rank for x in tensors]}")
    held = g.same_layout(tensors)
    value = reduce(lambda one, two: g.op(op_type, one, two), [x.value for x in held])
    return g.result(held[0], value)


def _register(kind: type, op_type: str) -> None:
    @register_lowering(kind, any_layout=True)
    def lower_merge(g: Builder, layer: Any, tensors: Sequence[Tensor]) -> Tensor:
        return _merge(g, tensors, op_type)


_register(layers.Add, "Add")
_register(layers.Subtract, "Sub")
_register(layers.Multiply, "Mul")
_register(layers.Maximum, "Max")
_register(layers.Minimum, "Min")


@register_lowering(layers.Average, any_layout=True)
def lower_average(g: Builder, layer: Any, tensors: Sequence[Tensor]) -> Tensor:
    """Mean of several tensors."""
    total = _merge(g, tensors, "Add")
    return g.like(total, g.op("Mul", total.value, 1 / len(tensors)))


@register_lowering(layers.Concatenate, any_layout=True)
def lower_concatenate(g: Builder, layer: Any, tensors: Sequence[Tensor]) -> Tensor:
    """Concatenation along one axis."""
    held = g.same_layout(tensors)
    axis = g.axis(held[0], layer.axis)
    return g.result(held[0], g.op("Concat", *(x.value for x in held), axis=axis))
