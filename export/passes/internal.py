"""The internal operators: what a lowering writes where the best ONNX form depends on the neighbours.

    Affine(x, scale, shift; axis)      x * scale + shift; scale and shift are constants with a value for each
                                       index of one axis
    GroupNorm(x; groups, epsilon)      (x - mean) / sqrt(variance + epsilon) over each group of channels of an
                                       image; the channels are axis 1; no gamma, no beta

`fold_affine` moves and merges Affine nodes, `legalize` replaces what is left. No file contains these operators.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from export.onnx_graph import Attribute, add_constant, constant_array, insert_node, layer_of

DOMAIN = "kerasnorm.internal"


@dataclass(frozen=True)
class Affine:
    """An Affine node.

    Attributes:
        node: the node.
        x: its input.
        scale: float64, a value for each index of the axis.
        shift: likewise.
        axis: the axis of the ONNX value.
        layers: the Keras layers that it came from, for reports.
    """

    node: ir.Node
    x: ir.Value
    scale: np.ndarray
    shift: np.ndarray
    axis: int
    layers: str

    @property
    def output(self) -> ir.Value:
        """Its output."""
        return self.node.outputs[0]


@dataclass(frozen=True)
class GroupNorm:
    """A GroupNorm node.

    Attributes:
        node: the node.
        x: its input, (N, C, ...).
        groups: number of groups of neighbouring channels.
        epsilon: added to the variance.
    """

    node: ir.Node
    x: ir.Value
    groups: int
    epsilon: float


def affine(
    graph: ir.Graph,
    x: ir.Value,
    scale: np.ndarray,
    shift: np.ndarray,
    axis: int,
    *,
    name: str,
    layers: str | None = None,
    after: ir.Node | None = None,
) -> ir.Value:
    """Write an Affine node and return its output.

    Args:
        graph: the graph.
        x: the input.
        scale: a value for each index of the axis.
        shift: likewise.
        axis: the axis of the ONNX value.
        name: name of the node, 'LAYER/Affine'.
        layers: the layers that it came from, for reports; None takes the layer in `name`.
        after: the node that it follows; None appends it.
    """
    constants = [
        add_constant(graph, np.asarray(values, np.float64), f"{name}/{kind}")
        for kind, values in (("scale", scale), ("shift", shift))
    ]
    attributes: dict[str, Attribute] = {"axis": axis}
    if layers is not None:
        attributes["layers"] = layers
    return insert_node(graph, "Affine", [x, *constants], attributes, name=name, domain=DOMAIN, after=after)


def group_norm(graph: ir.Graph, x: ir.Value, groups: int, epsilon: float, *, name: str) -> ir.Value:
    """Write a GroupNorm node and return its output."""
    attributes = {"groups": groups, "epsilon": float(epsilon)}
    return insert_node(graph, "GroupNorm", [x], attributes, name=name, domain=DOMAIN)


def as_affine(node: ir.Node) -> Affine | None:
    """A node as an Affine; None if it is another operator."""
    if (node.domain, node.op_type) != (DOMAIN, "Affine"):
        return None
    x, scale, shift = node.inputs
    scale_array, shift_array = constant_array(scale), constant_array(shift)
    if x is None or scale_array is None or shift_array is None:
        raise ValueError(f"{node.name}: expected an input, and a constant scale and shift")
    layers = node.attributes["layers"].as_string() if "layers" in node.attributes else layer_of(node)
    return Affine(node, x, scale_array, shift_array, node.attributes["axis"].as_int(), layers)


def as_group_norm(node: ir.Node) -> GroupNorm | None:
    """A node as a GroupNorm; None if it is another operator."""
    if (node.domain, node.op_type) != (DOMAIN, "GroupNorm"):
        return None
    x = node.inputs[0]
    if x is None:
        raise ValueError(f"{node.name}: expected an input")
    return GroupNorm(node, x, node.attributes["groups"].as_int(), node.attributes["epsilon"].as_float())
