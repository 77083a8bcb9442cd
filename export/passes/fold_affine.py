"""Move what is affine into a convolution or dense layer next to it, wherever that is exact.

An `Affine` node is y = a x + b with a number a and b for each channel. Written with a convolution
z[o] = sum_{i,k} W[o,i,k] x[i,k] + c[o] (a dense layer is the same without k):

- into the one before, z = W x + c:       a z + b = (a W) x + (a c + b), row by row. Always exact.
  Before it may stand a MatMul with or without an Add of the bias, too.
- into the one after, z = W (a x + b) + c: = (W a) x + (c + sum_{i,k} W[o,i,k] b[i]), column by column. Exact
  if every place that the kernel sees holds a x + b. Zero padding puts 0 where the formula has b, so with
  padding it is exact only if b = 0.
- through max pooling: max(a x + b) = a max(x) + b only if a > 0 for every channel.
- through average pooling, mean(a x + b) = a mean(x) + b: if no padded zeros are counted. Global average
  pooling: always; global max pooling: if a > 0.
- through Flatten, Reshape and Transpose that keep or spread the channel axis: the same numbers, spread alike.
- two of them in a row: a2 (a1 x + b1) + b2 = (a2 a1) x + (a2 b1 + b2).

What can't be moved stays, and `Report.refused` says why. The sums are in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from export.builder import INTERNAL, new_constant


@dataclass
class Report:
    """What was folded where, and what was not and why; each entry names the layers."""

    folded: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def fold_affine(graph: ir.Graph) -> Report:
    """Fold every Affine node of the graph that can be folded; change the graph in place."""
    report = Report()
    refusals: dict[str, str] = {}
    moved = True
    while moved:
        moved = False
        for node in list(graph):
            if node.op_type != "Affine" or node.domain != INTERNAL or node.graph is None:
                continue
            reason = _fold(graph, node, report)
            if reason is None:
                refusals.pop(_layer(node), None)
                moved = True
            else:
                refusals[_layer(node)] = reason
    standing = {_layer(node) for node in graph if node.op_type == "Affine"}
    report.refused = [f"{layer}: {reason}" for layer, reason in refusals.items() if layer in standing]
    return report


def is_op(node: ir.Node | None, *kinds: str) -> bool:
    """Whether the node is one of these standard operators."""
    return node is not None and node.domain == "" and node.op_type in kinds


def array_of(value: ir.Value | None) -> np.ndarray | None:
    """The numbers of a constant; None for what is computed."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _layer(node: ir.Node) -> str:
    return str(node.metadata_props.get("layers") or (node.name or "").rsplit("/", 1)[0])


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'AEIOU' else 'a'} {word}"


def _fold(graph: ir.Graph, node: ir.Node, report: Report) -> str | None:
    """Fold or move one Affine; None if that was done, else the reason why not."""
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    a, b = (np.asarray(array_of(value), np.float64) for value in node.inputs[1:3])
    axis = node.attributes["axis"].as_int()
    if np.all(a == 1) and np.all(b == 0):
        _bypass(graph, node)
        report.folded.append(f"{_layer(node)}: does nothing in inference")
        return None
    before = _into_before(graph, node, a, b, axis, report)
    if before is None:
        return None
    if y.is_graph_output():
        return f"{before}; its output is an output of the model"
    after = _into_after(graph, node, [use.node for use in y.uses()], a, b, axis, report)
    return None if after is None else f"{before}; {after}"


def _bypass(graph: ir.Graph, node: ir.Node) -> None:
    """Take a node out; what used its output uses its first input."""
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    y.replace_all_uses_with(x, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _set_weights(graph: ir.Graph, node: ir.Node, kernel: np.ndarray, bias: np.ndarray) -> None:
    """Give a Conv, Gemm or MatMul new weights; a shared kernel stays as it is for the others."""
    count = int(node.metadata_props.get("folds", "0")) + 1
    node.metadata_props["folds"] = str(count)
    stem = f"{node.name}/folded{count}"
    node.replace_input_with(1, new_constant(graph, kernel.astype(np.float32), f"{stem}/kernel"))
    bias_value = new_constant(graph, bias.astype(np.float32), f"{stem}/bias")
    if node.op_type == "MatMul":
        _add_bias(graph, node, bias_value)
    elif len(node.inputs) > 2:
        node.replace_input_with(2, bias_value)
    else:
        node.resize_inputs(3)
        node.replace_input_with(2, bias_value)


def _add_bias(graph: ir.Graph, matmul: ir.Node, bias: ir.Value) -> None:
    """Add to the constant of the Add behind a MatMul, or put an Add there."""
    y = matmul.outputs[0]
    behind = [use.node for use in y.uses()]
    if len(behind) == 1 and is_op(behind[0], "Add") and not y.is_graph_output():
        place = 1 if behind[0].inputs[0] is y else 0
        old, new = array_of(behind[0].inputs[place]), array_of(bias)
        if old is not None and new is not None and old.shape == new.shape:
            behind[0].replace_input_with(place, new_constant(graph, old + new, f"{bias.name}/sum"))
            return
    add = ir.node("Add", [y, bias], name=f"{matmul.name}/bias")
    add.outputs[0].name = f"{y.name}/biased"
    graph.insert_after(matmul, add)
    y.replace_all_uses_with(add.outputs[0], replace_graph_outputs=True)
    add.replace_input_with(0, y)


def _weights(node: ir.Node) -> tuple[np.ndarray, np.ndarray] | None:
    """Kernel and bias of a Conv, Gemm or MatMul in float64, or None if they are not constant."""
    kernel = array_of(node.inputs[1])
    if kernel is None:
        return None
    out = kernel.shape[0] if node.op_type == "Conv" else kernel.shape[-1]
    bias: np.ndarray | None = np.zeros(out)
    if node.op_type != "MatMul" and len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = array_of(node.inputs[2])
    if bias is None:
        return None
    return kernel.astype(np.float64), bias.astype(np.float64)


def _along(values: np.ndarray, rank: int, axis: int) -> np.ndarray:
    return values.reshape([-1 if place == axis else 1 for place in range(rank)])


def _into_before(
    graph: ir.Graph, node: ir.Node, a: np.ndarray, b: np.ndarray, axis: int, report: Report
) -> str | None:
    x = node.inputs[0]
    assert x is not None
    producer = x.producer()
    if is_op(producer, "MatMul", "Add") and _into_matmul(graph, node, a, b, axis, report):
        return None
    if not is_op(producer, "Conv", "Gemm"):
        kind = "the model's input" if producer is None else _with_article(producer.op_type)
        return f"before it stands {kind}"
    assert producer is not None
    if len(x.uses()) > 1 or x.is_graph_output():
        return f"{_layer(producer)} before it is used elsewhere too"
    weights = _weights(producer)
    if weights is None or axis != 1:
        return f"{_layer(producer)} before it has no constant weights along that axis"
    kernel, bias = weights
    place = 0 if producer.op_type == "Conv" else kernel.ndim - 1
    _set_weights(graph, producer, kernel * _along(a, kernel.ndim, place), a * bias + b)
    report.folded.append(f"{_layer(node)}: into {_layer(producer)} before it")
    _bypass(graph, node)
    return None


def _into_matmul(
    graph: ir.Graph, node: ir.Node, a: np.ndarray, b: np.ndarray, axis: int, report: Report
) -> bool:
    """Fold into a MatMul by a matrix, and the Add of a bias behind it, that stand before; whether that was done."""
    x, rank = node.inputs[0], len(node.outputs[0].shape or ())
    add = x.producer() if x is not None else None
    matmul, bias = add, np.zeros_like(a)
    if is_op(add, "Add"):
        assert add is not None
        constants = [array_of(value) for value in add.inputs]
        place = next((place for place, array in enumerate(constants) if array is not None), None)
        source = None if place is None else add.inputs[1 - place]
        constant = None if place is None else constants[place]
        if source is None or constant is None or constant.shape != a.shape or len(source.uses()) > 1:
            return False
        matmul, bias = source.producer(), constant.astype(np.float64)
    if (
        not is_op(matmul, "MatMul")
        or x is None
        or len(x.uses()) > 1
        or x.is_graph_output()
        or axis != rank - 1
    ):
        return False
    assert matmul is not None
    kernel = array_of(matmul.inputs[1])
    if kernel is None or kernel.ndim != 2 or kernel.shape[1] != len(a):
        return False
    stem = f"{matmul.name}/folded{len(graph.initializers)}"
    kernel = kernel.astype(np.float64) * a
    matmul.replace_input_with(1, new_constant(graph, kernel.astype(np.float32), f"{stem}/kernel"))
    shift = a * bias + b
    if add is not matmul:
        assert add is not None
        assert place is not None
        add.replace_input_with(place, new_constant(graph, shift.astype(np.float32), f"{stem}/bias"))
    elif np.any(shift != 0):
        _add_bias(graph, matmul, new_constant(graph, shift.astype(np.float32), f"{stem}/bias"))
    report.folded.append(f"{_layer(node)}: into {_layer(matmul)} before it")
    _bypass(graph, node)
    return True


def _into_after(
    graph: ir.Graph,
    node: ir.Node,
    uses: list[ir.Node],
    a: np.ndarray,
    b: np.ndarray,
    axis: int,
    report: Report,
) -> str | None:
    """Fold into all the nodes behind, or move behind the only one; None if done, else why not."""
    if not uses:
        return "nothing uses it"
    reasons = [_blocks_weights(use, node, b, axis) for use in uses]
    if not any(reasons):
        for use in uses:
            _scale_columns(graph, use, a, b)
        report.folded.append(f"{_layer(node)}: into {', '.join(_layer(use) for use in uses)} after it")
        _bypass(graph, node)
        return None
    if len(uses) > 1:
        return "; ".join(dict.fromkeys(reason for reason in reasons if reason))
    return _move_behind(graph, node, uses[0], a, b, axis) if _passes(uses[0]) else reasons[0]


def _blocks_weights(use: ir.Node, node: ir.Node, b: np.ndarray, axis: int) -> str | None:
    """Why an Affine can't become part of the weights of `use`; None if it can."""
    name = _layer(use)
    if is_op(use, "Identity"):
        return "its output is an output of the model"
    if not is_op(use, "Conv", "Gemm", "MatMul") or use.inputs[0] is not node.outputs[0]:
        return f"after it stands {_with_article(use.op_type)} ({name})"
    weights = _weights(use)
    if weights is None:
        return f"{name} after it has no constant weights"
    kernel = weights[0]
    if use.op_type == "Conv":
        padded = "auto_pad" in use.attributes or any(
            use.attributes["pads"].as_ints() if "pads" in use.attributes else ()
        )
        if axis != 1:
            return f"{name} after it has its channels along another axis"
        if padded and np.any(b != 0):
            return f"{name} after it is zero-padded, and the padding would have to be shifted too"
        return None
    rank = 2 if use.op_type == "Gemm" else len(node.outputs[0].shape or ())
    if axis != rank - 1 or kernel.ndim != 2:
        return f"{name} after it multiplies another axis"
    return None


def _scale_columns(graph: ir.Graph, use: ir.Node, a: np.ndarray, b: np.ndarray) -> None:
    weights = _weights(use)
    assert weights is not None
    kernel, bias = weights
    if use.op_type == "Conv":
        groups = use.attributes["group"].as_int() if "group" in use.attributes else 1
        # Row o sees the input channels of its own group only.
        of_row = np.arange(kernel.shape[0]) // (kernel.shape[0] // groups)
        columns = of_row[:, None] * kernel.shape[1] + np.arange(kernel.shape[1])
        spatial = tuple(range(2, kernel.ndim))
        bias = bias + (kernel.sum(axis=spatial) * b[columns]).sum(axis=1)
        kernel = kernel * a[columns].reshape(*kernel.shape[:2], *[1] * len(spatial))
    else:
        bias = bias + b @ kernel
        kernel = kernel * a[:, None]
    _set_weights(graph, use, kernel, bias)


_POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")


def _passes(use: ir.Node) -> bool:
    return is_op(use, *_POOLS, "Flatten", "Reshape", "Transpose") or use.op_type == "Affine"


def _move_behind(
    graph: ir.Graph, node: ir.Node, use: ir.Node, a: np.ndarray, b: np.ndarray, axis: int
) -> str | None:
    """Move an Affine behind the one node that uses it; None if done, else why that is not exact."""
    name = _layer(use)
    new_axis = axis
    if use.op_type == "Affine":
        if use.attributes["axis"].as_int() != axis:
            return f"{name} after it acts along another axis"
        a2, b2 = (np.asarray(array_of(value), np.float64) for value in use.inputs[1:3])
        _rewrite(graph, use, a2 * a, a2 * b + b2, axis, f"{_layer(node)} + {name}")
        _bypass(graph, node)
        return None
    if use.op_type in _POOLS and axis != 1:
        return f"{name} after it pools along that axis"
    if use.op_type in ("MaxPool", "GlobalMaxPool") and not np.all(a > 0):
        return f"{name} after it takes maxima, and its scale is not positive for every channel"
    if use.op_type == "AveragePool":
        counted = use.attributes["count_include_pad"].as_int() if "count_include_pad" in use.attributes else 0
        if counted and any(use.attributes["pads"].as_ints()):
            return f"{name} after it counts padded zeros"
    if use.op_type == "Transpose":
        new_axis = list(use.attributes["perm"].as_ints()).index(axis)
    if use.op_type in ("Flatten", "Reshape"):
        spread = _spread(node, use, len(a), axis)
        if spread is None:
            return f"{name} after it mixes the channels with other axes"
        before, behind, new_axis = spread
        a, b = (np.tile(np.repeat(values, behind), before) for values in (a, b))
    # The node goes behind: its input feeds `use`, its output is what `use` gave.
    layer, x, out = _layer(node), node.inputs[0], use.outputs[0]
    use.replace_input_with(0, x)
    scale = new_constant(graph, a, f"{node.name}/behind/{use.name}/scale")
    shift = new_constant(graph, b, f"{node.name}/behind/{use.name}/shift")
    moved = ir.node(
        "Affine",
        [out, scale, shift],
        {"axis": new_axis},
        domain=INTERNAL,
        name=f"{node.name}/behind/{use.name}",
        metadata_props={"layers": layer},
    )
    moved.outputs[0].name = f"{out.name}/affine"
    moved.outputs[0].shape = out.shape
    graph.insert_after(use, moved)
    out.replace_all_uses_with(moved.outputs[0], replace_graph_outputs=True)
    moved.replace_input_with(0, out)
    graph.remove(node, safe=True)
    return None


def _rewrite(graph: ir.Graph, node: ir.Node, a: np.ndarray, b: np.ndarray, axis: int, layers: str) -> None:
    node.replace_input_with(1, new_constant(graph, a, f"{node.name}/composed{len(graph.initializers)}/scale"))
    node.replace_input_with(2, new_constant(graph, b, f"{node.name}/composed{len(graph.initializers)}/shift"))
    node.metadata_props["layers"] = layers


def _spread(node: ir.Node, use: ir.Node, channels: int, axis: int) -> tuple[int, int, int] | None:
    """How a Flatten or Reshape to (N, features) spreads the channels: repeats before and behind, the axis."""
    shape = node.outputs[0].shape
    if shape is None:
        return None
    sizes = [size if isinstance(size, int) else None for size in shape]
    if use.op_type == "Reshape":
        target = array_of(use.inputs[1])
        if target is None:
            return None
        if channels == 1 and len(target) > 2:  # one number acts alike along any axis of one place
            ones = [place for place, size in enumerate(target) if place and size == 1]
            return (1, 1, ones[0]) if ones else None
        if len(target) != 2:  # to (N, C, ...) with all the rest 1, or back
            same = [size for size in sizes[1:] if size != 1] == [channels]
            long = [place for place, size in enumerate(target) if place and size != 1]
            return (1, 1, long[0]) if same and len(long) == 1 and target[long[0]] == channels else None
    elif "axis" in use.attributes and use.attributes["axis"].as_int() != 1:
        return None
    if None in sizes[1:]:
        return None
    before = int(np.prod([size for size in sizes[1:axis]], dtype=np.int64))
    behind = int(np.prod([size for size in sizes[axis + 1 :]], dtype=np.int64))
    return before, behind, 1
