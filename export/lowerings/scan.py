"""Recurrence by ONNX's Scan: one body, which runs for each step, of a cell of any kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Shape, Tensor, onnx_dtype
from export.errors import Unsupported
from export.lowerings.operands import as_int64
from export.lowerings.sizes import size_of, size_vector

# Called as `step(body, x_t, states)` with the builder of the body; returns the output and the new states.
Step = Callable[[Builder, Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]]


@dataclass(frozen=True)
class Recurrence:
    """What comes of a recurrence.

    Attributes:
        last: the output of the last step.
        sequence: the outputs of all steps, in the order in which they are processed, along axis 1.
        states: the states after the last step, as a flat list.
    """

    last: Tensor
    sequence: Tensor
    states: list[Tensor]


def scan(
    g: Builder, layer: keras.layers.RNN, x: Tensor, states: list[Tensor], mask: Tensor | None
) -> Recurrence:
    """Run the cell of a layer, whose `call` is lowered within the body."""
    structure = _untracked(layer.state_size)

    def step(body: Builder, x_t: Tensor, flat: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        def call(inputs: Any, *given: Any) -> Any:
            output, new = layer.cell(inputs, keras.tree.pack_sequence_as(structure, list(given)))
            return output, keras.tree.flatten(new)

        output, new = body.lower(call, x_t, *flat)
        return body.keras_layout(output), [body.keras_layout(state) for state in new]

    return scan_steps(g, step, x, states, mask, layer.go_backwards, layer.zero_output_for_mask)


def _untracked(structure: Any) -> Any:
    """The structure without the list of Keras that tracks what is in it, which JAX takes for a leaf."""
    return [_untracked(one) for one in structure] if isinstance(structure, list) else structure


def scan_steps(
    g: Builder,
    step: Step,
    x: Tensor,
    states: Sequence[Tensor],
    mask: Tensor | None,
    backwards: bool,
    zero_output_for_mask: bool,
) -> Recurrence:
    """Run a step over axis 1 of a sequence.

    Args:
        g: the builder of the call.
        step: what is computed in each step.
        x: (batch, time, ...).
        states: what the first step receives.
        mask: (batch, time); where it is False, the step changes no state, and its output is that of the step before.
        backwards: go from the last step to the first.
        zero_output_for_mask: the output is zero where the mask is False.
    """
    body = _body(g)
    carried = [_input(body, state.shape, state.dtype) for state in states]
    x_t = _input(body, (x.shape[0], *x.shape[2:]), x.dtype)
    output, new = step(body, x_t, carried)
    if len(new) != len(carried):
        raise Unsupported(f"its cell returned {len(new)} states, expected {len(carried)}")
    initial = [state.value for state in states]
    inputs = [x.value]
    sources = [*carried]
    previous: list[Tensor] = []
    if mask is not None:
        previous = [_input(body, output.shape, output.dtype)]
        mask_t = _input(body, (x.shape[0],), "bool")
        sources += [*previous, x_t, mask_t]
        keep = [
            _keep(body, mask_t, one, old)
            for one, old in zip([*new, output], [*carried, *previous], strict=True)
        ]
        new, output = keep[:-1], keep[-1]
        initial.append(zeros_for_rows(g, x, output.shape[1:], output.dtype).value)
        inputs.append(mask.value)
        shown = _keep(body, mask_t, output, None) if zero_output_for_mask else output
        results = [*new, output, shown]
    else:
        sources.append(x_t)
        results = [*new, output]
    body.graph.inputs.extend(one.value for one in sources)
    body.graph.outputs.extend(_output(body, one) for one in results)
    values = g.op(
        "Scan",
        *initial,
        *inputs,
        outputs=len(results),
        body=body.graph,
        num_scan_inputs=len(inputs),
        scan_input_axes=[1] * len(inputs),
        scan_input_directions=[int(backwards)] * len(inputs),
        scan_output_axes=[1],
    )
    final = [g.tensor(value, one.shape, dtype=one.dtype) for value, one in zip(values, new, strict=False)]
    shape = (x.shape[0], x.shape[1], *output.shape[1:])
    sequence = g.tensor(values[-1], shape, dtype=output.dtype)
    last = g.op("Gather", values[-1], np.array(-1, np.int64), axis=1)
    return Recurrence(g.tensor(last, output.shape, dtype=output.dtype), sequence, final)


def reverse(g: Builder, x: Tensor) -> Tensor:
    """A sequence with the order of time reversed."""
    start, end = as_int64(-1), as_int64(np.iinfo(np.int64).min + 1)
    return g.like(x, g.op("Slice", x.value, start, end, as_int64(1), as_int64(-1)))


def _body(g: Builder) -> Builder:
    graph = ir.Graph([], [], nodes=[], opset_imports=dict(g.graph.opset_imports), name=g.unique_name("body"))
    # A value of the body can't be used outside of it, so it has its own memory of transposed values.
    return dataclasses.replace(g, graph=graph, _other_layout={})


def _input(body: Builder, shape: Shape, dtype: str) -> Tensor:
    name = body.unique_name("step")  # OpenVINO needs to know the number of its axes
    value = ir.Value(name=name, type=ir.TensorType(onnx_dtype(dtype)), shape=ir.Shape(list(shape)))
    return Tensor(value, shape, dtype=dtype)


def _output(body: Builder, x: Tensor) -> ir.Value:
    value = body.op("Identity", x.value)
    value.type = ir.TensorType(onnx_dtype(x.dtype))
    return value


def _keep(body: Builder, mask: Tensor, x: Tensor, otherwise: Tensor | None) -> Tensor:
    """`x` where the mask of the step is True, and otherwise another tensor, or zeros."""
    condition = body.op("Unsqueeze", mask.value, as_int64(*range(1, x.rank)))
    other = np.zeros((), onnx_dtype(x.dtype).numpy()) if otherwise is None else otherwise.value
    return body.tensor(body.op("Where", condition, x.value, other), x.shape, dtype=x.dtype)


def zeros_for_rows(g: Builder, x: Tensor, shape: Shape, dtype: str) -> Tensor:
    """Zeros of a shape for each row of `x`."""
    sizes = size_vector(g, [size_of(g, x, 0), *(size or 0 for size in shape)])
    value = g.op("Expand", np.zeros((), onnx_dtype(dtype).numpy()), sizes)
    return g.tensor(value, (x.shape[0], *shape), dtype=dtype)
