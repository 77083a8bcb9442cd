"""legalize: write the internal operators that are left, Affine and GroupNorm, as ONNX operators.

onnxruntime's CPU provider has kernels for InstanceNormalization, LayerNormalization and BatchNormalization, but not
for GroupNormalization, which it expands into a dozen nodes. So by default:

- One group becomes a LayerNormalization over all axes but the batch. Its scale has an element for each value of an
  image. A scale of ones is written as a ConstantOfShape, which the runtime computes once when it loads the file. (An
  InstanceNormalization is as fast, but sums so many values with six times the rounding error.)
- Several groups become an InstanceNormalization of the groups: (N, C, ...) is reshaped to (N, groups, rest),
  normalized, and reshaped back. It was faster than a LayerNormalization of the groups, and as exact.
- An Affine becomes a BatchNormalization with mean 0 and variance 1, or a Mul and an Add.

With `portable`, a GroupNorm becomes the standard GroupNormalization (opset 21) for other runtimes.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from export.errors import UserError
from export.onnx_graph import Attribute, add_constant, has_one_use, insert_node, layer_of
from export.passes.internal import Affine, GroupNorm, as_affine, as_group_norm

# A gamma that could not be folded is repeated over the pixels of an image, up to this many elements.
LARGEST_REPEATED_GAMMA = 1 << 16
GROUP_NORMALIZATION_OPSET = 21


class LegalizePass(ir.passes.InPlacePass):
    """Replace each Affine and GroupNorm by ONNX operators.

    Args:
        portable: write the standard GroupNormalization instead of the form that is fastest on onnxruntime's CPU
            provider.

    Raises:
        UserError: the graph's opset has no GroupNormalization, and `portable` needs it.
    """

    def __init__(self, portable: bool = False) -> None:
        super().__init__()
        self.portable = portable

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace the GroupNorms first: each takes over the gamma and beta of the Affine that follows."""
        modified = False
        for graph in (model.graph, *model.graph.subgraphs()):
            for node in list(graph):
                group_norm = as_group_norm(node)
                if group_norm is not None:
                    _legalize_group_norm(graph, group_norm, self.portable)
                    modified = True
            for node in list(graph):
                affine = as_affine(node)
                if affine is not None:
                    _legalize_affine(graph, affine)
                    modified = True
        return ir.passes.PassResult(model, modified)


class _Replacement:
    """Writes the nodes that replace a node, in front of it, and then removes it."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self.graph, self.node = graph, node
        self.count = 0

    def op(self, op_type: str, *inputs: ir.Value | np.ndarray, **attributes: Attribute) -> ir.Value:
        """Write a node and return its output."""
        values = [x if isinstance(x, ir.Value) else self._constant(x) for x in inputs]
        name = self._name(op_type)
        return insert_node(self.graph, op_type, values, attributes, name=name, before=self.node)

    def _constant(self, array: np.ndarray) -> ir.Value:
        return add_constant(self.graph, np.asarray(array), self._name("constant"))

    def _name(self, kind: str) -> str:
        self.count += 1
        return f"{self.node.name}/{self.count}/{kind}"

    def finish(self, value: ir.Value) -> None:
        """Replace the node's output by `value`."""
        output = self.node.outputs[0]
        value.shape = output.shape
        output.replace_all_uses_with(value, replace_graph_outputs=True)
        self.graph.remove(self.node, safe=True)


def _legalize_affine(graph: ir.Graph, affine: Affine) -> None:
    replacement = _Replacement(graph, affine.node)
    scale: np.ndarray = affine.scale.astype(np.float32)
    shift: np.ndarray = affine.shift.astype(np.float32)
    rank = len(affine.output.shape or ())
    is_uniform = np.all(scale == scale[0]) and np.all(shift == shift[0])
    has_both = np.any(scale != 1) and np.any(shift != 0)
    if affine.axis == 1 and rank >= 3 and not is_uniform and has_both:
        zeros, ones = np.zeros_like(scale), np.ones_like(scale)
        replacement.finish(
            replacement.op("BatchNormalization", affine.x, scale, shift, zeros, ones, epsilon=0.0)
        )
        return

    def along_axis(values: np.ndarray) -> np.ndarray:
        # One number for all channels stays a scalar: runtimes know patterns with scalars.
        if np.all(values == values[0]):
            return values[0].reshape(())
        return values.reshape([-1 if axis == affine.axis else 1 for axis in range(rank)])

    value = affine.x
    if np.any(scale != 1):
        value = replacement.op("Mul", value, along_axis(scale))
    if np.any(shift != 0):
        value = replacement.op("Add", value, along_axis(shift))
    replacement.finish(value)


def _legalize_group_norm(graph: ir.Graph, norm: GroupNorm, portable: bool) -> None:
    output, groups, epsilon = norm.node.outputs[0], norm.groups, norm.epsilon
    sizes = [size if isinstance(size, int) else None for size in output.shape or ()]
    channels, rest = sizes[1], sizes[2:]
    if channels is None:
        raise ValueError(f"{norm.node.name}: expected a known number of channels")
    affine = _following_affine(output)
    gamma: np.ndarray = np.ones(channels, np.float32) if affine is None else affine.scale.astype(np.float32)
    beta: np.ndarray = np.zeros(channels, np.float32) if affine is None else affine.shift.astype(np.float32)
    replacement = _Replacement(graph, norm.node)

    def finish_with_affine(value: ir.Value) -> None:
        """Replace the normalization and the gamma and beta that follow it."""
        if affine is not None:
            affine.output.replace_all_uses_with(output, replace_graph_outputs=True)
            graph.remove(affine.node, safe=True)
        replacement.finish(value)

    if portable:
        opset = graph.opset_imports[""]
        if opset < GROUP_NORMALIZATION_OPSET:
            raise UserError(
                f"{layer_of(norm.node)}: GroupNormalization needs opset {GROUP_NORMALIZATION_OPSET}, got {opset}; "
                f"use --opset {GROUP_NORMALIZATION_OPSET}, or another --target"
            )
        finish_with_affine(
            replacement.op("GroupNormalization", norm.x, gamma, beta, num_groups=groups, epsilon=epsilon)
        )
    elif groups == channels and rest:
        finish_with_affine(replacement.op("InstanceNormalization", norm.x, gamma, beta, epsilon=epsilon))
    elif groups == 1 and None not in rest:
        image = [channels, *(size for size in rest if size is not None)]
        if affine is not None and math.prod(image) <= LARGEST_REPEATED_GAMMA:
            repeated = [np.broadcast_to(v.reshape(-1, *[1] * len(rest)), image) for v in (gamma, beta)]
            finish_with_affine(
                replacement.op("LayerNormalization", norm.x, *repeated, axis=1, epsilon=epsilon)
            )
        else:
            one = ir.tensor(np.ones(1, np.float32))
            ones = replacement.op("ConstantOfShape", np.array(image, np.int64), value=one)
            replacement.finish(replacement.op("LayerNormalization", norm.x, ones, axis=1, epsilon=epsilon))
    else:
        unit_gamma: np.ndarray = np.ones(groups, np.float32)
        unit_beta: np.ndarray = np.zeros(groups, np.float32)
        grouped = replacement.op("Reshape", norm.x, np.array([0, groups, -1], np.int64))
        value = replacement.op("InstanceNormalization", grouped, unit_gamma, unit_beta, epsilon=epsilon)
        is_static = None not in rest
        shape = np.array([0, channels, *rest], np.int64) if is_static else replacement.op("Shape", norm.x)
        replacement.finish(replacement.op("Reshape", value, shape))


def _following_affine(value: ir.Value) -> Affine | None:
    """The Affine along the channels that alone uses a value."""
    if not has_one_use(value):
        return None
    affine = as_affine(next(iter(value.uses())).node)
    return affine if affine is not None and affine.axis == 1 else None
