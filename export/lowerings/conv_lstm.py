"""ConvLSTM: an LSTM whose products are convolutions (Shi et al. 2015, arXiv:1506.04214).

The convolutions of the inputs do not depend on the state, so that those of all steps and gates are one convolution in
front of the Scan. Its body has one convolution, of the state, for all gates.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.lowerings.activation import activate
from export.lowerings.operands import as_int64
from export.lowerings.recurrent import initial_states, outputs_of
from export.lowerings.registry import register_lowering
from export.lowerings.scan import Recurrence, scan_steps, zeros_for_rows
from export.lowerings.sizes import reshape_to, sizes_of

layers = keras.layers


@register_lowering(layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D)
def lower_conv_lstm(
    g: Builder, layer: Any, x: Tensor, initial_state: Any = None, mask: Tensor | None = None
) -> list[Tensor]:
    """i, f, o = s(W * x + R * h + b),  c' = f c + i a(W_c * x + R_c * h + b_c),  h' = o a(c')."""
    return outputs_of(layer, recur_convolutional(g, layer, x, initial_state, mask))


def recur_convolutional(
    g: Builder, layer: Any, x: Tensor, initial_state: Any, mask: Tensor | None
) -> Recurrence:
    """Run a layer's cell over a sequence of images; see `recurrent.recur`."""
    cell = layer.cell
    last = cell.data_format == "channels_last"
    gates = _input_gates(g, cell, x)
    size = gates.shape[3:]
    given = initial_states(g, layer, x, initial_state)
    shape = (x.shape[0], cell.filters, *size)
    if given is None:
        states = [zeros_for_rows(g, gates, shape[1:], "float32") for _ in range(2)]
    else:
        states = [_to_channels_first(g, state, shape) if last else state for state in given]
    kernel = np.asarray(cell.recurrent_kernel)
    weight = np.moveaxis(kernel, (-1, -2), (0, 1))
    pads = [(k - 1) // 2 for k in cell.kernel_size] + [k - 1 - (k - 1) // 2 for k in cell.kernel_size]

    def step(body: Builder, x_t: Tensor, previous: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, c = previous
        total = body.op("Add", x_t.value, body.op("Conv", h.value, body.weight(weight), pads=pads))
        values = body.op("Split", total, as_int64(*[cell.filters] * 4), axis=1, outputs=4)
        parts = [body.like(c, value) for value in values]
        i, f, o = (activate(body, cell.recurrent_activation, parts[index]).value for index in (0, 1, 3))
        new = body.op("Mul", i, activate(body, cell.activation, parts[2]).value)
        carry = body.like(c, body.op("Add", body.op("Mul", f, c.value), new))
        output = body.like(c, body.op("Mul", o, activate(body, cell.activation, carry).value))
        return output, [output, carry]

    found = scan_steps(g, step, gates, states, mask, layer.go_backwards, layer.zero_output_for_mask)
    if not last:
        return found
    sequence = g.op("Transpose", found.sequence.value, perm=[0, 1, *range(3, x.rank), 2])
    return Recurrence(
        _to_channels_last(g, found.last),
        g.tensor(sequence, (*x.shape[:2], *size, cell.filters), dtype="float32"),
        [_to_channels_last(g, state) for state in found.states],
    )


def _input_gates(g: Builder, cell: Any, x: Tensor) -> Tensor:
    """What the inputs contribute to the gates: (batch, time, 4 filters, ...)."""
    axis = -1 if cell.data_format == "channels_last" else 1
    bias = np.zeros(4 * cell.filters, np.float32) if cell.bias is None else np.asarray(cell.bias)
    along = [1] * (cell.rank + 2)
    along[axis] = -1

    def convolve(images: Any) -> Any:
        kernel = keras.ops.convert_to_numpy(cell.kernel)
        options = {"data_format": cell.data_format, "dilation_rate": cell.dilation_rate}
        y = keras.ops.conv(images, kernel, strides=cell.strides, padding=cell.padding, **options)
        return y + bias.reshape(along)

    shape = (None, *x.shape[2:])
    flat = g.op("Reshape", x.value, as_int64(-1, *(size or 0 for size in shape[1:])))
    y = g.lower(convolve, g.tensor(flat, shape, dtype=x.dtype))
    if axis == -1:
        y = g.channels_first(y)
    sizes = y.onnx_shape[1:]
    value = reshape_to(g, y.value, [*sizes_of(g, x)[:2], *(size or 0 for size in sizes)])
    return g.tensor(value, (*x.shape[:2], *sizes), dtype="float32")


def _to_channels_first(g: Builder, x: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    perm = [0, x.rank - 1, *range(1, x.rank - 1)]
    return g.tensor(g.op("Transpose", x.value, perm=perm), shape, dtype="float32")


def _to_channels_last(g: Builder, x: Tensor) -> Tensor:
    perm = [0, *range(2, x.rank), 1]
    shape = (x.shape[0], *x.shape[2:], x.shape[1])
    return g.tensor(g.op("Transpose", x.value, perm=perm), shape, dtype="float32")
