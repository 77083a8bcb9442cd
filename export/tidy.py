"""Remove what the lowering left over: reshapes and transposes that undo each other, constants held twice."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from export.fold import array_of, is_op
from export.graph import new_constant


def tidy(model: ir.Model) -> None:
    """Simplify the model's graph in place; what it computes stays the same."""
    graph = model.graph
    changed = True
    while changed:
        changed = False
        for node in list(graph):
            if node.graph is not None:
                changed |= _merge_reshapes(graph, node) or _merge_transposes(graph, node)
                changed |= node.graph is not None and _transpose_into_gemm(graph, node)
    for simplify in (
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    ):
        simplify(model)


def _only_use(value: ir.Value | None) -> bool:
    return value is not None and len(value.uses()) == 1 and not value.is_graph_output()


def _merge_reshapes(graph: ir.Graph, node: ir.Node) -> bool:
    """Reshape (or Flatten) behind a Reshape: the first has no effect."""
    if not is_op(node, "Reshape", "Flatten"):
        return False
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    if not is_op(before, "Reshape", "Flatten") or not _only_use(node.inputs[0]):
        return False
    assert before is not None
    target = array_of(node.inputs[1]) if node.op_type == "Reshape" else None
    if node.op_type == "Reshape" and (target is None or 0 in target[1:]):
        return False
    if before.op_type == "Reshape":
        first = array_of(before.inputs[1])
        # The batch axis must come through the first, or the second's copy of it is another number.
        if first is None or first[0] not in (0, -1) or (first[0] == -1 and 0 in first[1:]):
            return False
    node.replace_input_with(0, before.inputs[0])
    graph.remove(before, safe=True)
    return True


def _merge_transposes(graph: ir.Graph, node: ir.Node) -> bool:
    """Transpose behind a Transpose: one, or none."""
    if not is_op(node, "Transpose"):
        return False
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    if not is_op(before, "Transpose"):
        return False
    assert before is not None
    first, second = (list(n.attributes["perm"].as_ints()) for n in (before, node))
    perm = [first[place] for place in second]
    source = before.inputs[0]
    assert source is not None
    if perm == sorted(perm) and not node.outputs[0].is_graph_output():
        node.outputs[0].replace_all_uses_with(source)
        graph.remove(node, safe=True)
    else:
        node.attributes["perm"] = ir.AttrInt64s("perm", perm)
        node.replace_input_with(0, source)
    if not before.outputs[0].uses() and not before.outputs[0].is_graph_output():
        graph.remove(before, safe=True)
    return True


def _transpose_into_gemm(graph: ir.Graph, node: ir.Node) -> bool:
    """Transpose, flatten to (N, features), Gemm: permute the rows of the Gemm's kernel instead."""
    if not is_op(node, "Gemm") or not _only_use(node.inputs[0]):
        return False
    flatten = node.inputs[0].producer() if node.inputs[0] is not None else None
    if not is_op(flatten, "Reshape", "Flatten") or not _only_use(flatten.inputs[0] if flatten else None):
        return False
    assert flatten is not None
    transpose = flatten.inputs[0].producer() if flatten.inputs[0] is not None else None
    if not is_op(transpose, "Transpose"):
        return False
    assert transpose is not None
    perm, source = list(transpose.attributes["perm"].as_ints()), transpose.inputs[0]
    kernel = array_of(node.inputs[1])
    sizes = None if source is None or source.shape is None else list(source.shape)
    if kernel is None or sizes is None or perm[0] != 0 or not all(isinstance(s, int) for s in sizes[1:]):
        return False
    if flatten.op_type == "Reshape":
        target = array_of(flatten.inputs[1])
        if target is None or len(target) != 2:
            return False
    # rows[i] is the row that place i of the untransposed features had.
    places = np.arange(kernel.shape[0]).reshape([sizes[axis] for axis in perm[1:]])
    rows = places.transpose(np.argsort([axis - 1 for axis in perm[1:]])).ravel()
    node.replace_input_with(1, new_constant(graph, kernel[rows], f"{node.name}/permuted/kernel"))
    flatten.replace_input_with(0, source)
    graph.remove(transpose, safe=True)
    return True
