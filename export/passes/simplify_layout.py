"""simplify_layout: remove reshapes and transposes that cancel.

1. Reshape, then Reshape or Flatten: only the second has an effect.
2. Transpose, then Transpose: one Transpose, or none.
3. Transpose, flatten to (N, features), Gemm: permute the rows of the Gemm's kernel instead.
4. Reshape to the shape that its input has: nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from export.onnx_graph import add_constant, bypass, constant_array, has_one_use, ints, is_op, producer


class SimplifyLayoutPass(ir.passes.InPlacePass):
    """Apply the rules until none applies."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Apply the rules node by node."""
        graph = model.graph
        modified, changed = False, True
        while changed:
            changed = False
            for node in list(graph):
                for rule in _RULES:
                    if node.graph is not None and rule(graph, node):
                        changed = modified = True
        return ir.passes.PassResult(model, modified)


def _merge_reshapes(graph: ir.Graph, node: ir.Node) -> bool:
    """Rule 1."""
    if not is_op(node, "Reshape", "Flatten") or not has_one_use(node.inputs[0]):
        return False
    first = producer(node.inputs[0], "Reshape", "Flatten")
    if first is None:
        return False
    if node.op_type == "Reshape":
        target = constant_array(node.inputs[1])
        if target is None or 0 in target[1:]:
            return False
    if first.op_type == "Reshape":
        # The first one must keep the batch axis, or a 0 in the second would copy another number.
        target = constant_array(first.inputs[1])
        if target is None or target[0] not in (0, -1) or (target[0] == -1 and 0 in target[1:]):
            return False
    node.replace_input_with(0, first.inputs[0])
    graph.remove(first, safe=True)
    return True


def _merge_transposes(graph: ir.Graph, node: ir.Node) -> bool:
    """Rule 2."""
    first = producer(node.inputs[0], "Transpose") if is_op(node, "Transpose") else None
    if first is None:
        return False
    source, order = first.inputs[0], ints(first, "perm")
    perm = [order[axis] for axis in ints(node, "perm")]
    node.replace_input_with(0, source)
    if perm == sorted(perm) and not node.outputs[0].is_graph_output():
        bypass(graph, node)
    else:
        node.attributes["perm"] = ir.AttrInt64s("perm", perm)
    if not first.outputs[0].uses() and not first.outputs[0].is_graph_output():
        graph.remove(first, safe=True)
    return True


def _transpose_into_gemm(graph: ir.Graph, node: ir.Node) -> bool:
    """Rule 3."""
    if not is_op(node, "Gemm") or not has_one_use(node.inputs[0]):
        return False
    flatten = producer(node.inputs[0], "Reshape", "Flatten")
    if flatten is None or not has_one_use(flatten.inputs[0]):
        return False
    transpose = producer(flatten.inputs[0], "Transpose")
    kernel = constant_array(node.inputs[1])
    if transpose is None or kernel is None:
        return False
    perm, source = ints(transpose, "perm"), transpose.inputs[0]
    if source is None or source.shape is None or perm[0] != 0:
        return False
    sizes = [size for size in source.shape[1:] if isinstance(size, int)]
    if len(sizes) != len(source.shape) - 1:
        return False
    if flatten.op_type == "Reshape":
        target = constant_array(flatten.inputs[1])
        if target is None or len(target) != 2:
            return False
    # positions[i] is the row for feature i of the transposed image; the untransposed order is wanted.
    order = [axis - 1 for axis in perm[1:]]
    positions = np.arange(kernel.shape[0]).reshape([sizes[axis] for axis in order])
    rows = positions.transpose(np.argsort(order)).ravel()
    node.replace_input_with(1, add_constant(graph, kernel[rows], f"{node.name}/permuted/kernel"))
    flatten.replace_input_with(0, source)
    graph.remove(transpose, safe=True)
    return True


def _drop_reshape(graph: ir.Graph, node: ir.Node) -> bool:
    """Rule 4."""
    if not is_op(node, "Reshape") or node.outputs[0].is_graph_output():
        return False
    source, target = node.inputs[0], constant_array(node.inputs[1])
    if source is None or source.shape is None or target is None or not 0 < len(source.shape) == len(target):
        return False
    if list(source.shape)[1:] != target[1:].tolist() or target[0] not in (0, -1, source.shape[0]):
        return False
    bypass(graph, node)
    return True


_RULES: tuple[Callable[[ir.Graph, ir.Node], bool], ...] = (
    _merge_reshapes,
    _merge_transposes,
    _transpose_into_gemm,
    _drop_reshape,
)
