"""Small helpers for reading and editing an onnx_ir graph, shared by the builder and the passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

Attribute = (
    int | float | str | Sequence[int] | Sequence[float] | Sequence[str] | ir.TensorProtocol | ir.Graph | None
)


def add_constant(graph: ir.Graph, array: np.ndarray, name: str) -> ir.Value:
    """Add an initializer to a graph; a number is appended to a name that is taken."""
    unique, count = name, 1
    while unique in graph.initializers:
        count += 1
        unique = f"{name}_{count}"
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=unique)
    value = ir.Value(
        name=unique, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor
    )
    graph.register_initializer(value)
    return value


def insert_node(
    graph: ir.Graph,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Attribute],
    *,
    name: str,
    domain: str = "",
    before: ir.Node | None = None,
    after: ir.Node | None = None,
) -> ir.Value:
    """Insert a node with one output, which is named after the node, and return that output."""
    node = ir.node(op_type, inputs, attributes, domain=domain, name=name)
    node.outputs[0].name = name
    if before is not None:
        graph.insert_before(before, node)
    elif after is not None:
        graph.insert_after(after, node)
    else:
        graph.append(node)
    return node.outputs[0]


def is_op(node: ir.Node | None, *op_types: str) -> bool:
    """Whether a node is one of these standard operators."""
    return node is not None and node.domain == "" and node.op_type in op_types


def constant_array(value: ir.Value | None) -> np.ndarray | None:
    """The array of a constant; None for a computed value."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def producer(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that computes a value, if it is one of these standard operators."""
    node = None if value is None else value.producer()
    return node if is_op(node, *op_types) else None


def has_one_use(value: ir.Value | None) -> bool:
    """Whether exactly one node uses a value, and the value is no output of the graph."""
    return value is not None and len(value.uses()) == 1 and not value.is_graph_output()


def ints(node: ir.Node, name: str, default: Sequence[int] = ()) -> list[int]:
    """An attribute of integers; `default` if the node doesn't have it."""
    return list(node.attributes[name].as_ints()) if name in node.attributes else list(default)


def bypass(graph: ir.Graph, node: ir.Node) -> None:
    """Remove a node; its users take its first input instead."""
    source, output = node.inputs[0], node.outputs[0]
    if source is None:
        raise ValueError(f"{node.name}: expected a first input")
    output.replace_all_uses_with(source, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def layer_of(node: ir.Node) -> str:
    """The Keras layer that a node was written for: the node's name up to the last slash."""
    return (node.name or "").rsplit("/", 1)[0]
