"""Write what is left of our own operators, Affine and GroupNorm, in ONNX's.

onnxruntime's CPU provider has kernels for InstanceNormalization, LayerNormalization and BatchNormalization
and none for GroupNormalization, which it expands into a dozen nodes. So by default

- one group is a LayerNormalization over all axes but the batch. Its gamma has a number for each value of an
  image; gammas of 1 are made by a ConstantOfShape, which the runtime computes once, as it loads the file.
  (An InstanceNormalization is as fast, but sums so many values with six times the rounding error.)
- several groups are an InstanceNormalization of the groups: (N, C, ...) -> (N, groups, rest) -> normalize ->
  back, which was faster than a LayerNormalization of them and as exact.

`portable` writes the standard's GroupNormalization (opset 21) for other runtimes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from export.builder import INTERNAL, new_constant
from export.errors import UserError
from export.passes.fold_affine import array_of

# A gamma that could not be folded is spread over the values of an image, up to this many.
LARGEST_SPREAD_GAMMA = 1 << 16


def expand(graph: ir.Graph, *, portable: bool) -> None:
    """Replace each Affine and GroupNorm of the graph by ONNX operators, in place."""
    for node in list(graph):
        if node.domain == INTERNAL and node.op_type == "GroupNorm":
            _expand_group_norm(graph, node, portable)
    for node in list(graph):
        if node.domain == INTERNAL and node.op_type == "Affine":
            _expand_affine(graph, node)


class _Writer:
    """Writes nodes before a given one and then takes its place."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self.graph, self.node = graph, node
        self.stem = (node.name or "").rsplit("/", 1)[0]
        self.count = 0

    def op(self, op_type: str, *inputs: Any, **attributes: Any) -> ir.Value:
        values = [x if isinstance(x, ir.Value) else self.constant(x) for x in inputs]
        self.count += 1
        name = f"{self.node.name}/{self.count}/{op_type}"
        node = ir.node(op_type, values, attributes, name=name)
        node.outputs[0].name = name
        self.graph.insert_before(self.node, node)
        return node.outputs[0]

    def constant(self, array: Any) -> ir.Value:
        self.count += 1
        return new_constant(self.graph, np.asarray(array), f"{self.node.name}/{self.count}/constant")

    def replace(self, value: ir.Value) -> None:
        old = self.node.outputs[0]
        value.shape = old.shape
        old.replace_all_uses_with(value, replace_graph_outputs=True)
        self.graph.remove(self.node, safe=True)


def _affine_arrays(node: ir.Node) -> tuple[np.ndarray, np.ndarray]:
    scale, shift = (np.asarray(array_of(value), np.float32) for value in node.inputs[1:3])
    return scale, shift


def _expand_affine(graph: ir.Graph, node: ir.Node) -> None:
    x, writer = node.inputs[0], _Writer(graph, node)
    assert x is not None
    scale, shift = _affine_arrays(node)
    axis, rank = node.attributes["axis"].as_int(), len(node.outputs[0].shape or ())
    alike = np.all(scale == scale[0]) and np.all(shift == shift[0])
    if axis == 1 and rank >= 3 and not alike and np.any(scale != 1) and np.any(shift != 0):
        zeros, ones = np.zeros_like(scale), np.ones_like(scale)
        writer.replace(writer.op("BatchNormalization", x, scale, shift, zeros, ones, epsilon=0.0))
        return

    def along(values: np.ndarray) -> np.ndarray:
        # One number for all channels stays one number, as the patterns that runtimes know have it.
        if np.all(values == values[0]):
            return values[0].reshape(())
        return values.reshape([-1 if place == axis else 1 for place in range(rank)])

    value = x
    if np.any(scale != 1):
        value = writer.op("Mul", value, along(scale))
    if np.any(shift != 0):
        value = writer.op("Add", value, along(shift))
    writer.replace(value)


def _expand_group_norm(graph: ir.Graph, node: ir.Node, portable: bool) -> None:
    x, out = node.inputs[0], node.outputs[0]
    assert x is not None
    groups, epsilon = node.attributes["groups"].as_int(), node.attributes["epsilon"].as_float()
    sizes = [size if isinstance(size, int) else None for size in out.shape or ()]
    channels, rest = sizes[1], sizes[2:]
    assert channels is not None
    affine = _affine_behind(node)
    gamma, beta = _affine_arrays(affine) if affine else (np.ones(channels), np.zeros(channels))
    gamma, beta = gamma.astype(np.float32), beta.astype(np.float32)

    def finish(value: ir.Value) -> None:
        """Take the places of the normalization and of the gamma and beta behind it."""
        if affine is not None:
            affine.outputs[0].replace_all_uses_with(out, replace_graph_outputs=True)
            graph.remove(affine, safe=True)
        writer.replace(value)

    writer = _Writer(graph, node)
    if portable:
        if graph.opset_imports[""] < 21:
            raise UserError(
                f"{writer.stem}: GroupNormalization needs opset 21, got {graph.opset_imports['']}; give "
                "--opset 21 or leave --portable out"
            )
        finish(writer.op("GroupNormalization", x, gamma, beta, num_groups=groups, epsilon=epsilon))
        return
    if groups == channels and rest:
        finish(writer.op("InstanceNormalization", x, gamma, beta, epsilon=epsilon))
        return
    if groups == 1 and None not in rest:
        if affine is not None and channels * math.prod(size or 0 for size in rest) <= LARGEST_SPREAD_GAMMA:
            spread = [np.broadcast_to(v.reshape(-1, *[1] * len(rest)), sizes[1:]) for v in (gamma, beta)]  # type: ignore[arg-type]
            finish(writer.op("LayerNormalization", x, *spread, axis=1, epsilon=epsilon))
        else:
            shape = np.array(sizes[1:], np.int64)
            one = ir.tensor(np.ones(1, np.float32))
            ones = writer.op("ConstantOfShape", shape, value=one)
            writer.replace(writer.op("LayerNormalization", x, ones, axis=1, epsilon=epsilon))
        return
    unit: tuple[np.ndarray, np.ndarray] = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    split = writer.op("Reshape", x, np.array([0, groups, -1], np.int64))
    value = writer.op("InstanceNormalization", split, *unit, epsilon=epsilon)
    if rest.count(None) == 0:
        value = writer.op("Reshape", value, np.array([0, channels, *rest], np.int64))
    else:
        value = writer.op("Reshape", value, writer.op("Shape", x))
    writer.replace(value)


def _affine_behind(node: ir.Node) -> ir.Node | None:
    """The Affine along the channels that alone uses a node's output."""
    out = node.outputs[0]
    uses = [use.node for use in out.uses()]
    if len(uses) != 1 or out.is_graph_output() or uses[0].op_type != "Affine":
        return None
    return uses[0] if uses[0].attributes["axis"].as_int() == 1 else None
