"""Move an Affine node past its only user, to where it may be folded (rules 3 to 6 of `fold_affine`)."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from export.onnx_graph import bypass, constant_array, ints, is_op, layer_of
from export.passes import internal
from export.passes.internal import Affine, as_affine
from export.passes.outcome import Refusal

_POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")


def move_past(graph: ir.Graph, affine: Affine, user: ir.Node, otherwise: Refusal) -> Refusal | None:
    """Move an Affine past its only user, or merge it into that user if it is an Affine.

    Args:
        graph: the graph.
        affine: the Affine.
        user: the only node that uses its output.
        otherwise: returned if no rule names the user's operator.

    Returns:
        None if it was moved; otherwise the reason why that isn't exact.
    """
    scale, shift, axis = affine.scale, affine.shift, affine.axis
    following = as_affine(user)
    if following is not None:
        return _merge(graph, affine, following)
    if is_op(user, *_POOLS):
        reason = _pool_blocks(user, affine)
        if reason is not None:
            return Refusal(affine.layers, reason)
    elif is_op(user, "Transpose"):
        axis = ints(user, "perm").index(axis)
    elif is_op(user, "Flatten", "Reshape"):
        spread = _spread(affine, user)
        if spread is None:
            return Refusal(
                affine.layers, f"the following {layer_of(user)} mixes the channels with other axes"
            )
        before, after, axis = spread
        scale, shift = (np.tile(np.repeat(values, after), before) for values in (scale, shift))
    else:
        return otherwise
    _reinsert(graph, affine, user, scale, shift, axis)
    return None


def _merge(graph: ir.Graph, first: Affine, second: Affine) -> Refusal | None:
    """Rule 6: one Affine in the place of two."""
    if first.axis != second.axis:
        return Refusal(first.layers, f"the following {second.layers} acts along another axis")
    merged = internal.affine(
        graph,
        first.x,
        second.scale * first.scale,
        second.scale * first.shift + second.shift,
        first.axis,
        name=f"{second.node.name}/merged",
        layers=f"{first.layers} + {second.layers}",
        after=second.node,
    )
    merged.shape = second.output.shape
    second.output.replace_all_uses_with(merged, replace_graph_outputs=True)
    graph.remove([second.node, first.node], safe=True)
    return None


def _pool_blocks(pool: ir.Node, affine: Affine) -> str | None:
    """Why rules 3 and 4 don't apply to a pool; None if they do."""
    name = layer_of(pool)
    if affine.axis != 1:
        return f"the following {name} pools along that axis"
    if pool.op_type in ("MaxPool", "GlobalMaxPool") and not np.all(affine.scale > 0):
        return f"the following {name} takes maxima, and the scale is not positive for every channel"
    if pool.op_type == "AveragePool" and "count_include_pad" in pool.attributes:
        counts_padding = pool.attributes["count_include_pad"].as_int()
        if counts_padding and any(ints(pool, "pads")):
            return f"the following {name} counts padded zeros"
    return None


def _spread(affine: Affine, user: ir.Node) -> tuple[int, int, int] | None:
    """Rule 5: how a Flatten or Reshape spreads the channels.

    Returns:
        How often the whole vector of channels is repeated, how often each of its elements is, and the axis; None
        if the channels are mixed with other axes.
    """
    shape = affine.output.shape
    if shape is None:
        return None
    channels = len(affine.scale)
    sizes = [size if isinstance(size, int) else None for size in shape]
    if user.op_type == "Reshape":
        target = constant_array(user.inputs[1])
        if target is None:
            return None
        if channels == 1 and len(target) > 2:  # a single number is the same along any axis of size 1
            ones = [axis for axis, size in enumerate(target) if axis and size == 1]
            return (1, 1, ones[0]) if ones else None
        if len(target) != 2:  # to (N, C, ...) where all other sizes are 1, or back
            is_vector = [size for size in sizes[1:] if size != 1] == [channels]
            long = [axis for axis, size in enumerate(target) if axis and size != 1]
            return (1, 1, long[0]) if is_vector and len(long) == 1 and target[long[0]] == channels else None
    elif "axis" in user.attributes and user.attributes["axis"].as_int() != 1:
        return None
    image = [size for size in sizes[1:] if size is not None]
    if len(image) < len(sizes) - 1:
        return None
    return math.prod(image[: affine.axis - 1]), math.prod(image[affine.axis :]), 1


def _shape_after(user: ir.Node, shape: ir.Shape | None) -> ir.Shape | None:
    """What is known of the shape of a Transpose, Reshape, Flatten or pool of a tensor: at least the rank."""
    if shape is None:
        return None
    if user.op_type == "Transpose":
        return ir.Shape([shape[axis] for axis in ints(user, "perm")])
    if user.op_type == "Flatten":
        return ir.Shape([None, None])
    target = constant_array(user.inputs[1]) if user.op_type == "Reshape" else shape
    return None if target is None else ir.Shape([None] * len(target))


def _reinsert(
    graph: ir.Graph, affine: Affine, user: ir.Node, scale: np.ndarray, shift: np.ndarray, axis: int
) -> None:
    """Take an Affine out and insert it after its user."""
    output = user.outputs[0]
    if output.shape is None:  # a value within a lowering
        output.shape = _shape_after(user, affine.output.shape)
    bypass(graph, affine.node)
    moved = internal.affine(
        graph,
        output,
        scale,
        shift,
        axis,
        name=f"{affine.node.name}/moved",
        layers=affine.layers,
        after=user,
    )
    moved.shape = output.shape
    output.replace_all_uses_with(moved, replace_graph_outputs=True)
    node = moved.producer()
    if node is not None:
        node.replace_input_with(0, output)
