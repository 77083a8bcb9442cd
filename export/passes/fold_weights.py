"""Fold an Affine node into the weights of a neighbouring layer (rules 1, 2 and 7 of `fold_affine`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from export.onnx_graph import (
    add_constant,
    bypass,
    constant_array,
    has_one_use,
    insert_node,
    ints,
    is_op,
    layer_of,
)
from export.passes import internal
from export.passes.internal import Affine, as_affine
from export.passes.outcome import Fold, Refusal, join


def fold_into_preceding(graph: ir.Graph, affine: Affine) -> Fold | Refusal:
    """Rule 1: scale the rows of the preceding convolution or dense layer."""
    layer = affine.x.producer()
    if layer is None:
        return Refusal(affine.layers, "preceded by the model's input")
    if is_op(layer, "MatMul", "Add"):
        fold = _fold_into_matmul(graph, affine, layer)
        if fold is not None:
            return fold
    if not is_op(layer, "Conv", "ConvTranspose", "Gemm"):
        return Refusal(affine.layers, f"preceded by {layer.op_type}")
    if not has_one_use(affine.x):
        return Refusal(affine.layers, f"the preceding {layer_of(layer)} has other users")
    weights = _weights(layer)
    if weights is None or affine.axis != 1:
        return Refusal(
            affine.layers, f"the preceding {layer_of(layer)} has no constant weights along that axis"
        )
    kernel, bias = weights
    kernel = kernel * _along(affine.scale, kernel.ndim, _output_axis(layer, kernel))
    _set_weights(graph, layer, kernel, affine.scale * bias + affine.shift)
    bypass(graph, affine.node)
    return Fold(affine.layers, f"into the preceding {layer_of(layer)}")


def _fold_into_matmul(graph: ir.Graph, affine: Affine, preceding: ir.Node) -> Fold | None:
    """Rule 1 for a MatMul with a constant matrix, and for the Add of its bias."""
    rank = len(affine.output.shape or ())
    if not has_one_use(affine.x) or affine.axis != rank - 1:
        return None
    matmul: ir.Node | None = preceding
    add, position, bias = None, 0, np.zeros_like(affine.scale)
    if preceding.op_type == "Add":
        constants = [constant_array(value) for value in preceding.inputs]
        position = 0 if constants[0] is not None else 1
        constant, product = constants[position], preceding.inputs[1 - position]
        if constant is None or constant.shape != affine.scale.shape or not has_one_use(product):
            return None
        add, bias = preceding, constant.astype(np.float64)
        matmul = product.producer() if product is not None else None
    if matmul is None or not is_op(matmul, "MatMul"):
        return None
    kernel = constant_array(matmul.inputs[1])
    if kernel is None or kernel.ndim != 2 or kernel.shape[1] != len(affine.scale):
        return None
    scaled = (kernel.astype(np.float64) * affine.scale).astype(np.float32)
    shift = (affine.scale * bias + affine.shift).astype(np.float32)
    matmul.replace_input_with(1, add_constant(graph, scaled, f"{matmul.name}/folded/kernel"))
    if add is not None:
        add.replace_input_with(position, add_constant(graph, shift, f"{matmul.name}/folded/bias"))
    elif np.any(shift != 0):
        _add_bias(graph, matmul, shift)
    bypass(graph, affine.node)
    return Fold(affine.layers, f"into the preceding {layer_of(matmul)}")


def fold_before_relu(graph: ir.Graph, affine: Affine) -> Fold | None:
    """Rule 7: scale the rows of the layer before the preceding ReLU."""
    relu = affine.x.producer()
    is_scaling = np.all(affine.scale > 0) and np.all(affine.shift == 0)
    if relu is None or not is_op(relu, "Relu", "LeakyRelu") or not is_scaling or not has_one_use(affine.x):
        return None
    value = relu.inputs[0]
    layer = value.producer() if value is not None else None
    if value is None or layer is None:
        return None
    name = f"{affine.node.name}/before"
    scaled = internal.affine(
        graph, value, affine.scale, affine.shift, affine.axis, name=name, layers=affine.layers, after=layer
    )
    scaled.shape = value.shape
    relu.replace_input_with(0, scaled)
    node = scaled.producer()
    before = as_affine(node) if node is not None else None
    outcome = fold_into_preceding(graph, before) if before is not None else None
    if isinstance(outcome, Fold):
        bypass(graph, affine.node)
        return outcome
    if node is not None:
        bypass(graph, node)
    return None


def fold_into_following(graph: ir.Graph, affine: Affine, users: Sequence[ir.Node]) -> Fold | Refusal:
    """Rule 2: scale the columns of the following convolutions and dense layers, of all of them or of none."""
    if not users:
        return Refusal(affine.layers, "it has no users")
    refusals = [refusal for refusal in (_check_following(user, affine) for user in users) if refusal]
    if refusals:
        return join(*refusals)
    for user in users:
        _scale_columns(graph, user, affine)
    bypass(graph, affine.node)
    return Fold(affine.layers, f"into the following {', '.join(layer_of(user) for user in users)}")


def _check_following(user: ir.Node, affine: Affine) -> Refusal | None:
    """Why rule 2 doesn't apply to a user; None if it does."""
    name = layer_of(user)

    def refusal(reason: str) -> Refusal:
        return Refusal(affine.layers, reason)

    if is_op(user, "Identity"):
        return refusal("its output is an output of the model")
    if not is_op(user, "Conv", "ConvTranspose", "Gemm", "MatMul") or user.inputs[0] is not affine.output:
        return refusal(f"followed by {user.op_type} ({name})")
    weights = _weights(user)
    if weights is None:
        return refusal(f"the following {name} has no constant weights")
    if user.op_type in ("Conv", "ConvTranspose"):
        if affine.axis != 1:
            return refusal(f"the following {name} has its channels along another axis")
        if np.all(affine.shift == 0):
            return None
        if user.op_type == "ConvTranspose":
            return refusal(
                f"the following {name} would add up the shift a different number of times per pixel"
            )
        if "auto_pad" in user.attributes or any(ints(user, "pads")):
            return refusal(f"the following {name} pads with zeros, which the shift would have to change")
        return None
    rank = 2 if user.op_type == "Gemm" else len(affine.output.shape or ())
    if affine.axis != rank - 1 or weights[0].ndim != 2:
        return refusal(f"the following {name} multiplies another axis")
    return None


def _scale_columns(graph: ir.Graph, user: ir.Node, affine: Affine) -> None:
    weights = _weights(user)
    if weights is None:
        raise ValueError(f"{user.name}: expected constant weights")
    kernel, bias = weights
    if user.op_type == "Conv":
        groups = user.attributes["group"].as_int() if "group" in user.attributes else 1
        # Row o sees only the input channels of its own group.
        group_of_row = np.arange(kernel.shape[0]) // (kernel.shape[0] // groups)
        columns = group_of_row[:, None] * kernel.shape[1] + np.arange(kernel.shape[1])
        spatial = tuple(range(2, kernel.ndim))
        bias = bias + (kernel.sum(axis=spatial) * affine.shift[columns]).sum(axis=1)
        kernel = kernel * affine.scale[columns].reshape(*kernel.shape[:2], *[1] * len(spatial))
    elif user.op_type == "ConvTranspose":
        kernel = kernel * _along(affine.scale, kernel.ndim, 0)
    else:
        bias = bias + affine.shift @ kernel
        kernel = kernel * affine.scale[:, None]
    _set_weights(graph, user, kernel, bias)


def _weights(node: ir.Node) -> tuple[np.ndarray, np.ndarray] | None:
    """Kernel and bias of a convolution, Gemm or MatMul in float64; None if they are not constant."""
    kernel = constant_array(node.inputs[1])
    if kernel is None:
        return None
    bias: np.ndarray | None = np.zeros(kernel.shape[_output_axis(node, kernel)])
    if node.op_type != "MatMul" and len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = constant_array(node.inputs[2])
    if bias is None:
        return None
    return kernel.astype(np.float64), bias.astype(np.float64)


def _output_axis(node: ir.Node, kernel: np.ndarray) -> int:
    """The axis of the output channels in a kernel. No lowering writes a ConvTranspose of several groups."""
    return {"Conv": 0, "ConvTranspose": 1}.get(node.op_type, kernel.ndim - 1)


def _set_weights(graph: ir.Graph, node: ir.Node, kernel: np.ndarray, bias: np.ndarray) -> None:
    """Give a convolution, Gemm or MatMul new weights. A shared kernel stays as it is for its other users."""
    kernel, bias = kernel.astype(np.float32), bias.astype(np.float32)
    node.replace_input_with(1, add_constant(graph, kernel, f"{node.name}/folded/kernel"))
    if node.op_type == "MatMul":
        _add_bias(graph, node, bias)
        return
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, add_constant(graph, bias, f"{node.name}/folded/bias"))


def _add_bias(graph: ir.Graph, matmul: ir.Node, bias: np.ndarray) -> None:
    """Add a bias to a MatMul: to the constant of the Add that follows, or by a new Add."""
    product, name = matmul.outputs[0], f"{matmul.name}/folded/bias"
    users = [use.node for use in product.uses()]
    if has_one_use(product) and is_op(users[0], "Add"):
        position = 1 if users[0].inputs[0] is product else 0
        constant = constant_array(users[0].inputs[position])
        if constant is not None and constant.shape == bias.shape:
            users[0].replace_input_with(position, add_constant(graph, constant + bias, name))
            return
    operands = [product, add_constant(graph, bias, name)]
    biased = insert_node(graph, "Add", operands, {}, name=f"{matmul.name}/bias", after=matmul)
    product.replace_all_uses_with(biased, replace_graph_outputs=True)
    add = biased.producer()
    if add is not None:
        add.replace_input_with(0, product)


def _along(values: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """A vector with its elements along one axis of a tensor."""
    return values.reshape([-1 if index == axis else 1 for index in range(rank)])
