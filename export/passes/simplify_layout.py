"""Remove what the lowering left over: reshapes and transposes that undo each other, pads, constants held twice."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from export.builder import new_constant
from export.passes.fold_affine import array_of, is_op


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
                changed |= node.graph is not None and _drop_reshape(graph, node)
                changed |= node.graph is not None and _pad_into_window(graph, node)
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


def _drop_reshape(graph: ir.Graph, node: ir.Node) -> bool:
    """Reshape to the very shape that its input has, the batch axis apart."""
    if not is_op(node, "Reshape") or node.outputs[0].is_graph_output():
        return False
    source, target = node.inputs[0], array_of(node.inputs[1])
    if source is None or source.shape is None or target is None or len(source.shape) != len(target):
        return False
    same = all(have == want for have, want in zip(list(source.shape)[1:], target[1:].tolist(), strict=True))
    if not same or target[0] not in (0, -1, source.shape[0]):
        return False
    node.outputs[0].replace_all_uses_with(source)
    graph.remove(node, safe=True)
    return True


# onnxruntime up to 1.23 makes zeros in front of any pool its padding, also where that is something else (its
# PadFusion); other numbers it leaves alone.
NEXT_TO_ZERO = 1e-30
_NEVER_NEGATIVE = ("Relu", "Clip", "Sigmoid", "HardSigmoid", "Softmax")


def _pad_into_window(graph: ir.Graph, node: ir.Node) -> bool:
    """Zeros around, then a window: the window's own padding.

    A convolution's padding is zeros as well, and average pooling can count them. Max pooling leaves its padding
    out, which is the same where nothing is negative and every window has a place within.
    """
    if not is_op(node, "Conv", "AveragePool", "MaxPool") or not _only_use(node.inputs[0]):
        return False
    pad = node.inputs[0].producer() if node.inputs[0] is not None else None
    if not is_op(pad, "Pad") or "auto_pad" in node.attributes:
        return False
    assert pad is not None
    amounts, fill = array_of(pad.inputs[1]), array_of(pad.inputs[2]) if len(pad.inputs) > 2 else None
    mode = pad.attributes["mode"].as_string() if "mode" in pad.attributes else "constant"
    has_fill = len(pad.inputs) > 2 and pad.inputs[2] is not None
    if amounts is None or mode != "constant" or (has_fill and (fill is None or np.any(fill != 0))):
        return False
    before, after = np.split(amounts, 2)
    own = np.array(
        node.attributes["pads"].as_ints() if "pads" in node.attributes else [0] * 2 * (len(before) - 2)
    )
    if np.any(before[:2]) or np.any(after[:2]) or np.any(amounts < 0):
        return False
    pads = np.concatenate([before[2:], after[2:]])
    source = pad.inputs[0]
    assert source is not None
    if node.op_type != "Conv":
        kernel = np.array(node.attributes["kernel_shape"].as_ints())
        exact = not np.any(own) and not np.any(pads >= np.tile(kernel, 2))
        if node.op_type == "MaxPool":
            producer = source.producer()
            exact = exact and is_op(producer, *_NEVER_NEGATIVE) and _clips_at_zero(producer)
        if not exact:
            pad.resize_inputs(3)
            pad.replace_input_with(
                2, new_constant(graph, np.float32(NEXT_TO_ZERO), f"{pad.name}/next_to_zero")
            )
            return False
        if node.op_type == "AveragePool":
            node.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1)
    node.attributes["pads"] = ir.AttrInt64s("pads", (own + pads).tolist())
    node.replace_input_with(0, source)
    graph.remove(pad, safe=True)
    return True


def _clips_at_zero(node: ir.Node | None) -> bool:
    if node is None or node.op_type != "Clip":
        return True
    low = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    return low is not None and bool(np.all(low >= 0))
