"""Recurrent layers: LSTM, GRU, SimpleRNN, and RNN with cells of any kind.

Cells that ONNX has an operator for become that operator (`recurrent_operators.py`), layer by layer if they are
stacked; others become a Scan over what the cell's `call` computes (`scan.py`).

The graph keeps no state. A stateful layer starts from the state that it has when it is exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.lowerings.compaction import Compaction
from export.lowerings.recurrent_operators import operator_of
from export.lowerings.registry import register_lowering
from export.lowerings.scan import Recurrence, reverse, scan

layers = keras.layers

Layer = Any  # a keras.layers.RNN
State = Any  # a Tensor, or a structure of them


@register_lowering(layers.LSTM, layers.GRU, layers.SimpleRNN, layers.RNN)
def lower_rnn(
    g: Builder, layer: Layer, x: Tensor, initial_state: State = None, mask: Tensor | None = None
) -> list[Tensor]:
    """h_t, state_t = cell(x_t, state_{t-1}) over axis 1."""
    return outputs_of(layer, recur(g, layer, x, initial_state, mask))


def outputs_of(layer: Layer, found: Recurrence) -> list[Tensor]:
    """What a layer returns of a recurrence."""
    output = found.sequence if layer.return_sequences else found.last
    return [output, *found.states] if layer.return_state else [output]


def recur(g: Builder, layer: Layer, x: Tensor, initial_state: State, mask: Tensor | None) -> Recurrence:
    """Run a layer's cell over a sequence, in the order in which the layer processes it.

    Args:
        g: the builder of the call.
        layer: the layer.
        x: (batch, time, features).
        initial_state: the states before the first step, in the cell's structure; None for the layer's own.
        mask: (batch, time); where it is False, the step changes nothing. None: all steps count.
    """
    cell = layer.cell
    cells = cell.cells if type(cell) is layers.StackedRNNCells else [cell]
    operators = [operator_of(one) for one in cells]
    states = initial_states(g, layer, x, initial_state)
    known = [one for one in operators if one is not None]
    if len(known) < len(operators):
        return scan(g, layer, x, states or zero_states(g, layer, x), mask)
    if mask is None:
        return _run_operators(g, known, x, states, None, layer.go_backwards)
    if layer.go_backwards:
        x, mask = reverse(g, x), reverse(g, mask)
    compaction = Compaction.of(g, mask)
    found = _run_operators(g, known, compaction.compact(g, x), states, compaction.lengths, False)
    sequence = compaction.expand(g, found.sequence, with_zeros=layer.zero_output_for_mask)
    last = compaction.last(g, found.last, mask, with_zeros=layer.zero_output_for_mask)
    return Recurrence(last, sequence, found.states)


def initial_states(g: Builder, layer: Layer, x: Tensor, given: State) -> list[Tensor] | None:
    """The states before the first step, as a flat list; None if all are zeros."""
    if given is not None:
        return [g.keras_layout(state) for state in keras.tree.flatten(given)]
    if layer.stateful:
        arrays = [keras.ops.convert_to_numpy(state) for state in keras.tree.flatten(layer.states)]
        return [g.tensor(g.weight(array, "state"), array.shape) for array in arrays]
    own = getattr(type(layer.cell), "get_initial_state", None)
    if own is not None and not own.__module__.startswith("keras."):
        return zero_states(g, layer, x)
    return None


def zero_states(g: Builder, layer: Layer, x: Tensor) -> list[Tensor]:
    """What the layer starts from if it receives no states, which are zeros unless its cell says otherwise."""
    states = g.lower(lambda t: layer.get_initial_state(batch_size=keras.ops.shape(t)[0]), x)
    return [g.keras_layout(state) for state in keras.tree.flatten(states)]


def _run_operators(
    g: Builder,
    operators: Sequence[Any],
    x: Tensor,
    states: list[Tensor] | None,
    lengths: ir.Value | None,
    backwards: bool,
) -> Recurrence:
    found: list[Tensor] = []
    remaining = list(states or [])
    for index, operator in enumerate(operators):
        own = [remaining.pop(0) for _ in range(operator.state_count)] if states is not None else None
        one = operator.run(g, x, own, lengths, backwards and index == 0)
        found += one.states
        x = one.sequence
    return replace(one, states=found)
