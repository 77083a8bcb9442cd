"""Operations of keras.ops that multiply and add: matrix products, einsum, attention, convolutions, normalizations."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Shape, Tensor
from export.errors import Unsupported
from export.lowerings.activation import activate
from export.lowerings.convolution import convolve, depthwise_kernel, per_axis
from export.lowerings.elementwise import (
    align,
    as_array,
    is_constant,
    reduction_axes,
    register_operation,
    symbol,
)
from export.lowerings.pooling import pool
from export.lowerings.registry import register_lowering

layers = keras.layers


@register_operation("matmul", symbol(2, 2), symbol(2, 2))
def lower_matmul(g: Builder, layer: Any, x1: Any, x2: Any) -> Tensor:
    """Matrix products along the last two axes."""
    held = [g.keras_layout(x) if isinstance(x, Tensor) else x for x in (x1, x2)]
    values = [align(g, [x], _rank(x), g.output_dtypes[0])[0][0] for x in held]
    return Tensor(g.op("MatMul", *values), g.output_shapes[0])


def _rank(x: Any) -> int:
    return x.rank if isinstance(x, Tensor) else np.ndim(x)


@register_operation("dot", symbol(2, 2), symbol(2, 2))
def lower_dot(g: Builder, layer: Any, x1: Any, x2: Any) -> Tensor:
    """Products along the last axis of the first and the last but one of the second, which has two axes."""
    if _rank(x2) != 2:
        raise Unsupported("dot with other than a matrix as its second argument; use ops.matmul")
    return lower_matmul(g, layer, x1, x2)


@register_operation("einsum", "ab,bc->ac", symbol(2, 2), symbol(2, 2))
def lower_einsum(g: Builder, layer: Any, *args: Any) -> Tensor:
    """Einstein's sums."""
    operands = [x for x in args if not isinstance(x, str)]
    return einsum(g, layer.subscripts, *operands)


def einsum(g: Builder, equation: str, *operands: Any) -> Tensor:
    """A matrix product where the equation is one, else ONNX's Einsum."""
    equation, shape = equation.replace(" ", ""), g.output_shapes[0]
    held = [g.keras_layout(x) if isinstance(x, Tensor) else x for x in operands]
    if "->" not in equation:
        raise Unsupported(f"einsum {equation!r} without an arrow")
    inputs, output = equation.split("->")
    if "..." not in equation:
        # Keras leaves sizes open that follow from those of the operands.
        sizes: dict[str, int | None] = {}
        for term, x in zip(inputs.split(","), held, strict=True):
            for letter, size in zip(term, np.shape(x) if is_constant(x) else x.shape, strict=True):
                sizes[letter] = sizes.get(letter) or size
        shape = tuple(sizes[letter] for letter in output)
        if len(held) == 2 and isinstance(held[0], Tensor) and is_constant(held[1]):
            product = _by_matrix(g, inputs, output, held[0], np.asarray(held[1], np.float32), shape)
            if product is not None:
                return product
        if len(held) == 2 and all(isinstance(x, Tensor) for x in held):
            product = _by_matmul(g, inputs.split(","), output, held, shape)
            if product is not None:
                return product
    values = [align(g, [x], _rank(x), g.output_dtypes[0])[0][0] for x in held]
    return Tensor(g.op("Einsum", *values, equation=equation), shape)


def _by_matrix(
    g: Builder, inputs: str, output: str, x: Tensor, kernel: np.ndarray, shape: Shape
) -> Tensor | None:
    """`x` times a constant matrix, if the summed axes are the last of `x` and all the others stay as they are."""
    left, right = inputs.split(",")
    summed = [letter for letter in left if letter in right]
    kept, new = left[: len(left) - len(summed)], [letter for letter in right if letter not in summed]
    if not summed or left != kept + "".join(summed) or output != kept + "".join(new) or not kept:
        return None
    # (summed..., new...) as a matrix
    matrix = np.transpose(kernel, [right.index(letter) for letter in (*summed, *new)])
    rows = math.prod(matrix.shape[: len(summed)])
    matrix = matrix.reshape(rows, -1)
    value = x.value
    if len(summed) > 1:
        value = g.reshape(value, (*x.shape[: len(kept)], rows))
    value = g.op("MatMul", value, g.weight(matrix, "kernel"))
    if len(new) != 1:
        value = g.reshape(value, shape)
    return Tensor(value, shape)


def _by_matmul(g: Builder, terms: list[str], output: str, held: list[Tensor], shape: Shape) -> Tensor | None:
    """A batched product of two tensors that sums over one axis, with one axis left of each."""
    left, right = terms
    batch = [letter for letter in output if letter in left and letter in right]
    summed = [letter for letter in left if letter in right and letter not in output]
    rows, columns = ([letter for letter in term if letter not in batch + summed] for term in terms)
    if [len(summed), len(rows), len(columns)] != [1, 1, 1] or sorted(output) != sorted(
        batch + rows + columns
    ):
        return None
    if output.index(rows[0]) > output.index(columns[0]):  # (A B)^T = B^T A^T saves a transpose
        left, right, rows, columns, held = right, left, columns, rows, held[::-1]
    orders = ([*batch, *rows, *summed], [*batch, *summed, *columns])
    values = [
        g.transpose(x.value, x.shape, [term.index(letter) for letter in order])
        for x, term, order in zip(held, (left, right), orders, strict=True)
    ]
    product, made = g.op("MatMul", *values), [*batch, *rows, *columns]
    by_letter = dict(zip(output, shape, strict=True))
    order = [made.index(letter) for letter in output]
    return Tensor(g.transpose(product, tuple(by_letter[letter] for letter in made), order), shape)


@register_operation("dot_product_attention", symbol(1, 2, 2, 4), symbol(1, 2, 2, 4), symbol(1, 2, 2, 4))
def lower_attention(
    g: Builder,
    layer: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Any = None,
    mask: Any = None,
    scale: Any = None,
) -> Tensor:
    """softmax(q k^T scale + bias) v for each head; tensors (batch, places, heads, features of a head).

    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
    """
    query, key, value = (g.keras_layout(x) for x in (query, key, value))
    heads, features, keys = query.shape[2], key.shape[3], key.shape[1]
    if key.shape[2] != heads:
        raise Unsupported(f"attention of {heads} heads to {key.shape[2]} of keys")
    if getattr(layer, "attn_logits_soft_cap", None) is not None or features is None:
        raise Unsupported("attention with a soft cap, or with an open number of features")
    factor = 1 / math.sqrt(features) if scale is None else float(scale)
    # The factor goes to the queries, which are fewer numbers than the products.
    scaled = g.op("Mul", g.op("Transpose", query.value, perm=[0, 2, 1, 3]), factor)
    logits = g.op("MatMul", scaled, g.op("Transpose", key.value, perm=[0, 2, 3, 1]))
    if bias is not None:
        logits = g.op("Add", logits, *align(g, [bias], 4, "float32")[0])
    if mask is not None:
        logits = g.op("Where", *align(g, [mask], 4, "bool")[0], logits, _NEVER)
    if layer.is_causal:
        if query.shape[1] is None or keys is None:
            raise Unsupported("causal attention over an open number of places")
        logits = g.op("Where", np.tri(query.shape[1], keys, dtype=bool), logits, _NEVER)
    mixed = g.op(
        "MatMul", g.op("Softmax", logits, axis=-1), g.op("Transpose", value.value, perm=[0, 2, 1, 3])
    )
    return Tensor(g.op("Transpose", mixed, perm=[0, 2, 1, 3]), (*query.shape[:3], value.shape[3]))


_NEVER = float(0.7 * -np.finfo(np.float32).max)  # what Keras puts where a mask is False


def _convolution_input(g: Builder, data_format: str | None, x: Tensor) -> Tensor:
    last = (data_format or keras.config.image_data_format()) == "channels_last"
    return g.channels_first(x) if last else g.keras_layout(x)


@register_operation("conv", symbol(1, 4, 4, 2), symbol(3, 3, 2, 2), data_format="channels_last")
def lower_convolution(g: Builder, layer: Any, inputs: Tensor, kernel: Any) -> Tensor:
    """Convolution by a constant kernel."""
    if not is_constant(kernel):
        raise Unsupported("a convolution by a computed kernel")
    x = _convolution_input(g, layer.data_format, inputs)
    rank, array = x.rank - 2, np.moveaxis(np.asarray(kernel, np.float32), (-1, -2), (0, 1))
    channels = x.held_shape[1]
    if channels is None:
        raise Unsupported("a convolution over an open number of channels")
    value = convolve(
        g,
        x,
        array,
        None,
        groups=channels // array.shape[1],
        strides=per_axis(layer.strides, rank),
        dilations=per_axis(layer.dilation_rate, rank),
        padding=layer.padding,
    )
    return g.result(x, value)


@register_operation("depthwise_conv", symbol(1, 4, 4, 2), symbol(3, 3, 2, 1), data_format="channels_last")
def lower_depthwise_convolution(g: Builder, layer: Any, inputs: Tensor, kernel: Any) -> Tensor:
    """Depthwise convolution by a constant kernel."""
    if not is_constant(kernel):
        raise Unsupported("a convolution by a computed kernel")
    x = _convolution_input(g, layer.data_format, inputs)
    rank = x.rank - 2
    value = convolve(
        g,
        x,
        depthwise_kernel(kernel),
        None,
        groups=int(np.shape(kernel)[-2]),
        strides=per_axis(layer.strides, rank),
        dilations=per_axis(layer.dilation_rate, rank),
        padding=layer.padding,
    )
    return g.result(x, value)


def _register_pool(function: str, op_type: str) -> None:
    @register_operation(function, symbol(1, 4, 4, 2), 2, data_format="channels_last")
    def lower_pool(g: Builder, layer: Any, inputs: Tensor) -> Tensor:
        return pool(g, layer, _convolution_input(g, layer.data_format, inputs), op_type)


_register_pool("max_pool", "MaxPool")
_register_pool("average_pool", "AveragePool")


@register_operation("batch_normalization", symbol(2, 2), np.zeros(2), np.ones(2), axis=-1)
def lower_batch_norm(
    g: Builder, layer: Any, x: Tensor, mean: Any, variance: Any, offset: Any = None, scale: Any = None
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset with constants."""
    if not all(is_constant(one) for one in (mean, variance, offset, scale)):
        raise Unsupported("batch_normalization by computed statistics")
    factor = 1 / np.sqrt(np.asarray(variance, np.float64) + layer.epsilon)
    factor = factor if scale is None else factor * np.asarray(scale, np.float64)
    shift = -np.asarray(mean, np.float64) * factor
    shift = shift if offset is None else shift + np.asarray(offset, np.float64)
    return g.affine(x, factor, shift, layer.axis)


@register_operation("normalize", symbol(2, 2))
def lower_normalize(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """The formula x / max(norm(x), epsilon), the norm of order 1 or 2."""
    op_type = {1: "ReduceL1", 2: "ReduceL2"}.get(layer.order)
    if op_type is None:
        raise Unsupported(f"normalize of order {layer.order}")
    norm = g.reduce(op_type, x.value, sorted(g.axis(x, one) for one in reduction_axes(x, layer.axis)))
    return g.like(x, g.op("Div", x.value, g.op("Max", norm, _epsilon(layer))))


def _epsilon(layer: Any) -> float:
    return float(keras.config.epsilon() if layer.epsilon is None else layer.epsilon)


def _last_axes(x: Tensor, axis: Any) -> int:
    axes = reduction_axes(x, axis)
    if axes != list(range(x.rank - len(axes), x.rank)):
        raise Unsupported(f"a normalization over axes {axes}, which are not the last")
    return axes[0]


@register_operation("layer_normalization", symbol(2, 2), np.ones(2), np.zeros(2))
def lower_layer_norm(g: Builder, layer: Any, x: Tensor, gamma: Any = None, beta: Any = None) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over the last axes."""
    g.require(17, "LayerNormalization")
    if getattr(layer, "rms_scaling", False) or not (is_constant(gamma) and is_constant(beta)):
        raise Unsupported("layer_normalization by root mean squares, or with a computed gamma or beta")
    x = g.keras_layout(x)
    first = _last_axes(x, layer.axis)
    size = x.shape[first:]
    weight = np.ones(size, np.float32) if gamma is None else np.asarray(gamma, np.float32).reshape(size)
    bias = None if beta is None else np.asarray(beta, np.float32).reshape(size)
    value = g.op("LayerNormalization", x.value, weight, bias, axis=first, epsilon=_epsilon(layer))
    return Tensor(value, x.shape)


@register_operation("rms_normalization", symbol(2, 2))
def lower_rms_norm(g: Builder, layer: Any, x: Tensor, scale: Any = None) -> Tensor:
    """The formula x / sqrt(mean(x^2) + epsilon) * scale."""
    if not is_constant(scale):
        raise Unsupported("rms_normalization with a computed scale")
    x = g.keras_layout(x)
    axes = reduction_axes(x, layer.axis)
    mean = g.reduce("ReduceMean", g.op("Mul", x.value, x.value), axes)
    value = g.op("Div", x.value, g.op("Sqrt", g.op("Add", mean, _epsilon(layer))))
    if scale is not None:
        value = g.op("Mul", value, as_array(scale, "float32"))
    return Tensor(value, x.shape)


@register_lowering(layers.EinsumDense)
def lower_einsum_dense(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Einstein's sum with a kernel, a bias and an activation."""
    result = einsum(g, layer.equation, x, layer.kernel)
    value: ir.Value = result.value
    if layer.bias is not None:
        value = g.op("Add", value, g.weight(layer.bias, "bias"))
    return activate(g, layer.activation, g.like(result, value))
