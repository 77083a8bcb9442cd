"""ONNX's recurrent operators, LSTM, GRU and RNN, and the cells of Keras that they compute.

    LSTM   i, f, o = s(W x + R h + b),  c' = f c + i a(W_c x + R_c h + b_c),  h' = o a(c')
    GRU    z, r = s(W x + R h + b),  h' = z h + (1 - z) a(W_h x + r (R_h h + b_r) + b_h),  or with R_h (r h)
    RNN    h' = a(W x + R h + b)

Keras has the gates of an LSTM in the order i, f, c, o, ONNX in the order i, o, f, c. Both have those of a GRU in the
order z, r, h.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.lowerings.operands import as_int64
from export.lowerings.scan import Recurrence, reverse

layers = keras.layers

# Keras' activations as the operators name them, with alpha and beta where there are any.
_ACTIVATIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "linear": ("Affine", (1.0, 0.0)),
    "relu": ("Relu", ()),
    "tanh": ("Tanh", ()),
    "sigmoid": ("Sigmoid", ()),
    "hard_sigmoid": ("HardSigmoid", (1 / 6, 0.5)),
    "hard_sigmoid_of_keras_2": ("HardSigmoid", (0.2, 0.5)),
    "softsign": ("Softsign", ()),
    "leaky_relu": ("LeakyRelu", (0.2,)),
    "elu": ("Elu", (1.0,)),
}


@dataclass(frozen=True)
class Operator:
    """A recurrent operator with the weights of a cell.

    Attributes:
        op_type: 'LSTM', 'GRU' or 'RNN'.
        units: size of the output.
        kernel: (gates x units, features).
        recurrent_kernel: (gates x units, units).
        bias: (2 x gates x units,): of the kernel, then of the recurrent kernel; None if there are none.
        activations: the functions, gates first.
        attributes: other attributes.
    """

    op_type: str
    units: int
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None
    activations: Sequence[str]
    attributes: dict[str, int] = field(default_factory=dict)

    @property
    def kind(self) -> tuple[object, ...]:
        """What two operators must share to be one node."""
        return self.op_type, self.units, *self.activations, *self.attributes.items()

    @property
    def state_count(self) -> int:
        """How many states it has."""
        return 2 if self.op_type == "LSTM" else 1

    def run(
        self,
        g: Builder,
        x: Tensor,
        states: Sequence[Tensor] | None,
        lengths: ir.Value | None,
        backwards: bool,
    ) -> Recurrence:
        """Run it over a sequence.

        Args:
            g: the builder of the call.
            x: (batch, time, features).
            states: what the first step receives, (batch, units) each; None for zeros.
            lengths: how many steps of each sequence count, from the first; None if all do.
            backwards: go from the last step to the first.
        """
        initial = [g.op("Unsqueeze", state.value, as_int64(0)) for state in states or []]
        values = _node(g, [self], x, initial, lengths, "reverse" if backwards else "forward")
        outputs = g.op("Transpose", g.op("Squeeze", values[0], as_int64(1)), perm=[1, 0, 2])
        sequence = g.tensor(outputs, (*x.shape[:2], self.units), dtype="float32")
        ends = [g.op("Squeeze", value, as_int64(0)) for value in values[1:]]
        if lengths is not None and states is not None:  # onnxruntime returns zeros for a sequence of no steps
            none = g.op("Unsqueeze", g.op("Equal", lengths, np.array(0, np.int32)), as_int64(1))
            ends = [g.op("Where", none, old.value, end) for old, end in zip(states, ends, strict=True)]
        final = [g.tensor(end, (x.shape[0], self.units), dtype="float32") for end in ends]
        return Recurrence(final[0], reverse(g, sequence) if backwards else sequence, final)


def run_both(
    g: Builder, one: Operator, other: Operator, x: Tensor, states: Sequence[Tensor] | None
) -> list[ir.Value]:
    """Run two operators of one kind over a sequence in a single node, the second from the last step to the first.

    Args:
        g: the builder of the call.
        one: the first operator.
        other: the second one.
        x: (batch, time, features).
        states: what the first step of `one` receives, then of `other`; None for zeros.

    Returns:
        The outputs, (time, 2, batch, units), in order of time, and the states at the ends, (2, batch, units) each.
    """
    initial = []
    for pair in zip(states[: one.state_count], states[one.state_count :], strict=True) if states else ():
        initial.append(
            g.op("Concat", *(g.op("Unsqueeze", state.value, as_int64(0)) for state in pair), axis=0)
        )
    return _node(g, [one, other], x, initial, None, "bidirectional")


def _node(
    g: Builder,
    operators: Sequence[Operator],
    x: Tensor,
    initial: Sequence[ir.Value],
    lengths: ir.Value | None,
    direction: str,
) -> list[ir.Value]:
    """The node of one operator, or of two of one kind, and its outputs."""
    first = operators[0]
    names = [name for operator in operators for name in operator.activations]
    alpha = [_ACTIVATIONS[name][1][0] for name in names if _ACTIVATIONS[name][1]]
    beta = [_ACTIVATIONS[name][1][1] for name in names if len(_ACTIVATIONS[name][1]) > 1]
    biases = [operator.bias for operator in operators]
    zeros = np.zeros(2 * len(first.kernel), np.float32)
    stacked = None if all(bias is None for bias in biases) else [zeros if b is None else b for b in biases]
    values: list[ir.Value] = g.op(  # type: ignore[call-overload]  # mypy can't tell the overload
        first.op_type,
        g.op("Transpose", x.value, perm=[1, 0, 2]),
        g.weight(np.stack([operator.kernel for operator in operators]), "kernel"),
        g.weight(np.stack([operator.recurrent_kernel for operator in operators]), "recurrent_kernel"),
        None if stacked is None else g.weight(np.stack(stacked), "bias"),
        lengths,
        *initial,
        outputs=1 + first.state_count,
        hidden_size=first.units,
        direction=direction,
        activations=[_ACTIVATIONS[name][0] for name in names],
        activation_alpha=alpha or None,
        activation_beta=beta or None,
        **first.attributes,
    )
    return values


def operator_of(cell: Any) -> Operator | None:
    """The operator that computes a cell; None if there is none."""
    make = _CELLS.get(type(cell))
    if make is None or not _is_known(cell.activation):
        return None
    return make(cell) if _is_known(getattr(cell, "recurrent_activation", cell.activation)) else None


def _is_known(function: Any) -> bool:
    name = getattr(function, "__name__", "")
    own = keras.saving.get_registered_object(f"kerasnorm>{name}")  # if its module has been imported
    return name in _ACTIVATIONS and function in (own, getattr(keras.activations, name, None))


def _lstm(cell: Any) -> Operator:
    def ordered(weights: Any) -> np.ndarray:
        i, f, c, o = np.split(np.asarray(weights), 4, axis=-1)
        return np.concatenate([i, o, f, c], axis=-1).T

    kernel, recurrent = ordered(cell.kernel), ordered(cell.recurrent_kernel)
    bias = None
    if cell.use_bias:
        bias = ordered(cell.bias)
        bias = np.concatenate([bias, np.zeros_like(bias)])
    gate, activation = cell.recurrent_activation.__name__, cell.activation.__name__
    return Operator("LSTM", cell.units, kernel, recurrent, bias, (gate, activation, activation))


def _gru(cell: Any) -> Operator:
    bias = None
    if cell.use_bias:
        bias = np.asarray(cell.bias)
        bias = bias.reshape(-1) if cell.reset_after else np.concatenate([bias, np.zeros_like(bias)])
    names = (cell.recurrent_activation.__name__, cell.activation.__name__)
    kernel, recurrent = np.asarray(cell.kernel).T, np.asarray(cell.recurrent_kernel).T
    attributes = {"linear_before_reset": int(cell.reset_after)}
    return Operator("GRU", cell.units, kernel, recurrent, bias, names, attributes)


def _simple(cell: Any) -> Operator:
    bias = None
    if cell.use_bias:
        bias = np.concatenate([np.asarray(cell.bias), np.zeros(cell.units, np.float32)])
    kernel, recurrent = np.asarray(cell.kernel).T, np.asarray(cell.recurrent_kernel).T
    return Operator("RNN", cell.units, kernel, recurrent, bias, (cell.activation.__name__,))


_CELLS: dict[type, Callable[[Any], Operator]] = {
    layers.LSTMCell: _lstm,
    layers.GRUCell: _gru,
    layers.SimpleRNNCell: _simple,
}
