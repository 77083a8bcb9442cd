"""Bidirectional: a recurrent layer in both directions of time, and their outputs merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.conv_lstm import recur_convolutional
from export.lowerings.recurrent import recur
from export.lowerings.registry import register_lowering
from export.lowerings.scan import Recurrence, reverse

layers = keras.layers

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
    half = len(given) // 2
    both = []
    for inner, states in ((layer.forward_layer, given[:half]), (layer.backward_layer, given[half:])):
        run = _KINDS.get(type(inner))
        if run is None:
            raise Unsupported(f"a bidirectional {type(inner).__name__}")
        both.append(run(g, inner, x, states or None, mask))
    forward, backward = both
    if layer.return_sequences:
        backward = replace(backward, sequence=reverse(g, backward.sequence))
        pair = forward.sequence, backward.sequence
    else:
        pair = forward.last, backward.last
    outputs = _merge(g, layer.merge_mode, *pair)
    return [*outputs, *forward.states, *backward.states] if layer.return_state else outputs


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
