"""pad_into_window: make a Pad with zeros the padding of the convolution or pool that follows.

- Conv pads with zeros itself. Always exact.
- AveragePool: exact if the padded zeros are counted (`count_include_pad`).
- MaxPool ignores its own padding. That is the same if no value is negative and every window holds a position of
  the image.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from export.onnx_graph import add_constant, constant_array, has_one_use, ints, is_op, producer

# onnxruntime up to 1.23 makes any Pad with zeros the padding of the pool that follows, even where that is
# something else (its PadFusion). It leaves other values alone.
NEXT_TO_ZERO = 1e-30
_NEVER_NEGATIVE = ("Relu", "Clip", "Sigmoid", "HardSigmoid", "Softmax")


class PadIntoWindowPass(ir.passes.InPlacePass):
    """Merge each Pad that allows it into the window that follows."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at each window once."""
        modified = False
        for node in list(model.graph):
            modified |= _merge_pad(model.graph, node)
        return ir.passes.PassResult(model, modified)


def _merge_pad(graph: ir.Graph, node: ir.Node) -> bool:
    if not is_op(node, "Conv", "AveragePool", "MaxPool") or "auto_pad" in node.attributes:
        return False
    pad = producer(node.inputs[0], "Pad")
    if pad is None or not has_one_use(node.inputs[0]):
        return False
    pads = _zero_padding(pad)
    if pads is None:
        return False
    own = np.array(ints(node, "pads", [0] * len(pads)))
    if node.op_type != "Conv" and not _is_exact_for_pool(node, pad, own, pads):
        pad.resize_inputs(3)
        pad.replace_input_with(
            2, add_constant(graph, np.array(NEXT_TO_ZERO, np.float32), f"{pad.name}/value")
        )
        return True
    if node.op_type == "AveragePool":
        node.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1)
    node.attributes["pads"] = ir.AttrInt64s("pads", (own + pads).tolist())
    node.replace_input_with(0, pad.inputs[0])
    graph.remove(pad, safe=True)
    return True


def _zero_padding(pad: ir.Node) -> np.ndarray | None:
    """How many zeros a Pad adds before and after each spatial axis; None if it does anything else."""
    amounts = constant_array(pad.inputs[1])
    mode = pad.attributes["mode"].as_string() if "mode" in pad.attributes else "constant"
    if amounts is None or mode != "constant" or np.any(amounts < 0):
        return None
    if len(pad.inputs) > 2 and pad.inputs[2] is not None:
        value = constant_array(pad.inputs[2])
        if value is None or np.any(value != 0):
            return None
    before, after = np.split(amounts, 2)
    if np.any(before[:2]) or np.any(after[:2]):
        return None
    return np.concatenate([before[2:], after[2:]])


def _is_exact_for_pool(pool: ir.Node, pad: ir.Node, own: np.ndarray, pads: np.ndarray) -> bool:
    windows = np.tile(ints(pool, "kernel_shape"), 2)
    if np.any(own) or np.any(pads >= windows):
        return False
    return pool.op_type == "AveragePool" or _is_never_negative(producer(pad.inputs[0], *_NEVER_NEGATIVE))


def _is_never_negative(node: ir.Node | None) -> bool:
    if node is None or node.op_type != "Clip":
        return node is not None
    low = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
    return low is not None and bool(np.all(low >= 0))
