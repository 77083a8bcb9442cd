"""Bidirectional: a recurrent layer in both directions of time, and their outputs merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.conv_lstm import recur_convolutional
from export.lowerings.operands import as_int64
from export.lowerings.recurrent import recur
from export.lowerings.recurrent_operators import Operator, operator_of, run_both
from export.lowerings.registry import register_lowering
from export.lowerings.scan import Recurrence, reverse

layers = keras.layers

_SIMPLE = (layers.LSTM, layers.GRU, layers.SimpleRNN)
_KINDS: dict[type, Callable[..., Recurrence]] = {
    **dict.fromkeys((layers.LSTM, layers.GRU, layers.SimpleRNN, layers.RNN), recur),
    **dict.fromkeys((layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D), recur_convolutional),
}


@register_lowering(layers.Bidirectional)
def lower_bidirectional(
    g: Builder, layer: Any, x: Tensor, initial_state: Any = None, mask: Tensor | None = None
) -> list[Tensor]:
    """The outputs of both directions, in order of time."""
    given = keras.tree.flatten(initial_state) if initial_state is not None else []
    operators = _one_operator(layer, mask)
    if operators is not None:
        return _in_one_node(g, layer, *operators, x, [g.keras_layout(state) for state in given] or None)
    half = len(given) // 2
    both = []
    for inner, states in ((layer.forward_layer, given[:half]), (layer.backward_layer, given[half:])):
        run = _KINDS.get(type(inner))
        if run is None:
            raise Unsupported(f"the layer {type(inner).__name__} in both directions")
        both.append(run(g, inner, x, states or None, mask))
    forward, backward = both
    if layer.return_sequences:
        backward = replace(backward, sequence=reverse(g, backward.sequence))
        pair = forward.sequence, backward.sequence
    else:
        pair = forward.last, backward.last
    outputs = _merge(g, layer.merge_mode, *pair)
    return [*outputs, *forward.states, *backward.states] if layer.return_state else outputs


def _one_operator(layer: Any, mask: Tensor | None) -> tuple[Operator, Operator] | None:
    """The operators of both directions, if one node can compute them."""
    both = layer.forward_layer, layer.backward_layer
    if mask is not None or any(type(one) not in _SIMPLE or one.stateful for one in both):
        return None
    forward, backward = (operator_of(one.cell) for one in both)
    directions = [one.go_backwards for one in both]
    if forward is None or backward is None or forward.kind != backward.kind or directions != [False, True]:
        return None
    return forward, backward


def _in_one_node(
    g: Builder, layer: Any, forward: Operator, backward: Operator, x: Tensor, states: list[Tensor] | None
) -> list[Tensor]:
    values = run_both(g, forward, backward, x, states)
    units, has_time = forward.units, layer.return_sequences
    shape = (*x.shape[: 2 if has_time else 1], units)
    value = values[0] if has_time else values[1]  # (time, 2, batch, units) or (2, batch, units)
    if layer.merge_mode == "concat":
        value = g.op("Transpose", value, perm=[2, 0, 1, 3] if has_time else [1, 0, 2])
        value = g.op("Reshape", value, as_int64(*[0] * (len(shape) - 1), 2 * units))
        outputs = [g.tensor(value, (*shape[:-1], 2 * units), dtype="float32")]
    else:
        parts = _halves(g, value, 1 if has_time else 0)
        if has_time:
            parts = [g.op("Transpose", part, perm=[1, 0, 2]) for part in parts]
        outputs = _merge(g, layer.merge_mode, *(g.tensor(part, shape, dtype="float32") for part in parts))
    if not layer.return_state:
        return outputs
    ends = [_halves(g, one, 0) for one in values[1:]]
    flat = [pair[direction] for direction in range(2) for pair in ends]
    return [*outputs, *(g.tensor(end, (x.shape[0], units), dtype="float32") for end in flat)]


def _halves(g: Builder, value: ir.Value, axis: int) -> list[ir.Value]:
    """The two slices along an axis of size 2, without it."""
    return [g.op("Gather", value, np.array(index, np.int64), axis=axis) for index in range(2)]


def _merge(g: Builder, mode: str | None, one: Tensor, other: Tensor) -> list[Tensor]:
    if mode is None:
        return [one, other]
    if mode == "concat":
        sizes = one.shape[-1], other.shape[-1]
        shape = (*one.shape[:-1], None if None in sizes else sum(size or 0 for size in sizes))
        return [g.tensor(g.op("Concat", one.value, other.value, axis=-1), shape)]
    if mode == "mul":
        return [g.like(one, g.op("Mul", one.value, other.value))]
    total = g.op("Add", one.value, other.value)
    return [g.like(one, total if mode == "sum" else g.op("Mul", total, np.float32(0.5)))]
