"""drop_lengths: have a recurrent operator that is given the lengths of sequences go over all steps instead.

It is for runtimes that compute such an operator wrongly. With the outputs Y of all steps t, and n the length of a
sequence:

    outputs:      Y[t] if t < n, otherwise 0
    last output:  the sum over t of Y[t] if t = n - 1, otherwise 0

This is exact for an operator from the first step to the last, because an output depends on no later step. An
LSTM's last cell state can't be found in this way, so an LSTM that is asked for it stays as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from export.onnx_graph import add_constant, insert_node, is_op

_LENGTHS = 4  # the position among the inputs


class DropLengthsPass(ir.passes.InPlacePass):
    """Replace recurrent operators with lengths by ones without.

    Args:
        op_types: the operators to replace: 'LSTM', 'GRU', 'RNN'.
    """

    def __init__(self, op_types: Collection[str]) -> None:
        super().__init__()
        self.op_types = op_types

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at each node once."""
        modified = False
        for graph in (model.graph, *model.graph.subgraphs()):
            for node in list(graph):
                if is_op(node, *self.op_types) and _has_lengths(node) and _is_replaceable(node):
                    _replace(graph, node)
                    modified = True
        return ir.passes.PassResult(model, modified)


def _has_lengths(node: ir.Node) -> bool:
    return len(node.inputs) > _LENGTHS and node.inputs[_LENGTHS] is not None


def _is_replaceable(node: ir.Node) -> bool:
    direction = node.attributes["direction"].as_string() if "direction" in node.attributes else "forward"
    cell_state = node.outputs[2] if len(node.outputs) > 2 else None
    is_used = cell_state is not None and bool(cell_state.uses() or cell_state.is_graph_output())
    return direction == "forward" and not is_used


def _replace(graph: ir.Graph, node: ir.Node) -> None:
    numbers = itertools.count(1)

    def op(op_type: str, *inputs: ir.Value | np.ndarray, **attributes: int) -> ir.Value:
        name = f"{node.name}/{next(numbers)}/{op_type}"
        values = [
            x if isinstance(x, ir.Value) else add_constant(graph, x, f"{name}/constant") for x in inputs
        ]
        return insert_node(graph, op_type, values, attributes, name=name, before=node)

    inputs = list(node.inputs)
    lengths, inputs[_LENGTHS] = inputs[_LENGTHS], None
    while inputs[-1] is None:
        inputs.pop()
    free = ir.Node(
        "", node.op_type, inputs, list(node.attributes.values()), name=f"{node.name}/0/{node.op_type}"
    )
    y = free.outputs[0]
    y.name = free.name
    graph.insert_before(node, free)
    if lengths is None:
        raise ValueError(f"{node.name}: expected lengths")
    count = op("Squeeze", op("Shape", y, start=0, end=1))
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    steps = op("Unsqueeze", op("Range", zero, count, one), np.array([1, 2, 3], np.int64))
    ends = op("Unsqueeze", op("Cast", lengths, to=int(ir.DataType.INT64)), np.array([0, 1, 3], np.int64))
    nothing = np.array(0, np.float32)
    node.outputs[0].replace_all_uses_with(
        op("Where", op("Less", steps, ends), y, nothing), replace_graph_outputs=True
    )
    if len(node.outputs) > 1:
        last = op("Where", op("Equal", steps, op("Sub", ends, one)), y, nothing)
        node.outputs[1].replace_all_uses_with(
            op("ReduceSum", last, np.array([0], np.int64), keepdims=0), replace_graph_outputs=True
        )
    graph.remove(node, safe=True)
