"""Linear maps: dense layers, matrix products and Einstein sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Shape, Tensor, is_float
from export.errors import Unsupported
from export.keras_values import as_numpy
from export.lowerings.activation import activate
from export.lowerings.operands import (
    Argument,
    arithmetic_dtype,
    as_float,
    as_value,
    cast,
    from_arithmetic,
)
from export.lowerings.registry import register_lowering, register_operation
from export.lowerings.sizes import reshape_to, size_of

layers = keras.layers


@register_lowering(layers.Dense, any_layout=True)
def lower_dense(g: Builder, layer: keras.layers.Dense, x: Tensor) -> Tensor:
    """X W + b along the last axis: a Gemm, a 1x1 convolution in channels-first layout, or a MatMul."""
    x, kernel = as_float(g, x), as_numpy(layer.kernel).astype(np.float32)
    bias = g.weight(layer.bias, "bias") if layer.use_bias else None
    if x.rank == 2:
        value = g.op("Gemm", x.value, g.weight(kernel, "kernel"), bias)
    elif x.channels_first:
        ones = [1] * (x.rank - 2)
        pointwise = g.weight(kernel.T.reshape(*kernel.T.shape, *ones), "kernel")
        value = g.op("Conv", x.value, pointwise, bias, kernel_shape=ones)
    else:
        value = g.op("MatMul", x.value, g.weight(kernel, "kernel"))
        value = value if bias is None else g.op("Add", value, bias)
    return activate(g, layer.activation, g.result(value, x))


@register_lowering(layers.EinsumDense)
def lower_einsum_dense(g: Builder, layer: keras.layers.EinsumDense, x: Tensor) -> Tensor:
    """An Einstein sum with a kernel, a bias and an activation."""
    result = einsum(g, layer.equation, as_float(g, x), as_numpy(layer.kernel))
    if layer.bias is not None:
        result = g.like(result, g.op("Add", result.value, g.weight(layer.bias, "bias")))
    return activate(g, layer.activation, result)


@register_operation("matmul")
def lower_matmul(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
    """Matrix products over the last two axes."""
    dtype = g.output_dtypes[0]
    product = g.op("MatMul", *(as_value(g, x, arithmetic_dtype(dtype)) for x in (x1, x2)))
    return g.result(from_arithmetic(g, product, dtype))


@register_operation("einsum")
def lower_einsum(g: Builder, operation: keras.Operation, *args: str | Argument) -> Tensor:
    """keras.ops.einsum."""
    return einsum(g, operation.subscripts, *(x for x in args if not isinstance(x, str)))


def einsum(g: Builder, equation: str, *operands: Argument) -> Tensor:
    """An Einstein sum: a MatMul where the equation is a matrix product, ONNX's Einsum otherwise."""
    equation = equation.replace(" ", "")
    if "->" not in equation:
        equation = f"{equation}->{_implied_output(equation)}"
    terms, output = equation.split("->")
    shape, dtype = g.output_shapes[0], g.output_dtypes[0]
    args = [_prepared(g, x, arithmetic_dtype(dtype)) for x in operands]
    if "..." not in equation:
        shape = _output_shape(terms, output, args)
        has_diagonal = any(len(set(term)) < len(term) for term in terms.split(","))
        if is_float(dtype) and not has_diagonal:
            product = _matrix_product(g, terms.split(","), output, args, shape)
            if product is not None:
                return product
    values = [as_value(g, x, arithmetic_dtype(dtype)) for x in args]
    return g.tensor(from_arithmetic(g, g.op("Einsum", *values, equation=equation), dtype), shape)


def _prepared(g: Builder, x: Argument, dtype: str) -> Argument:
    """A tensor in Keras' layout and of a dtype; a constant as it is."""
    if not isinstance(x, Tensor):
        return x
    x = g.keras_layout(x)
    return g.like(x, cast(g, x, dtype), dtype=dtype)


def _implied_output(terms: str) -> str:
    """The output of an equation without an arrow: the letters that occur once, in alphabetical order."""
    letters = terms.replace("...", "").replace(",", "")
    single = "".join(letter for letter in letters if letters.count(letter) == 1)
    if sorted(single) != list(single):  # the TensorFlow backend of Keras takes the order of the letters
        raise Unsupported(f"einsum {terms!r} without an arrow; write what the output is")
    return f"...{single}" if "..." in terms else single


def _output_shape(terms: str, output: str, args: list[Argument]) -> Shape:
    """The shape of an Einstein sum. Keras leaves dimensions dynamic whose size another operand determines."""
    sizes: dict[str, int | None] = {}
    for term, x in zip(terms.split(","), args, strict=True):
        for letter, size in zip(term, x.shape if isinstance(x, Tensor) else np.shape(x), strict=True):
            sizes[letter] = sizes.get(letter) or size
    return tuple(sizes[letter] for letter in output)


def _matrix_product(
    g: Builder, terms: list[str], output: str, args: list[Argument], shape: Shape
) -> Tensor | None:
    if len(args) != 2:
        return None
    first, second = args
    if not isinstance(first, Tensor):
        return None
    product = None
    if isinstance(second, Tensor):
        product = _batched_product(g, terms, output, [first, second], shape)
        if None in second.shape:
            return product
    return product or product_with_matrix(g, terms, output, first, second, shape)


def _float_product(g: Builder, x: ir.Value, matrix: ir.Value) -> ir.Value:
    return g.op("MatMul", x, matrix)


def product_with_matrix(
    g: Builder,
    terms: Sequence[str],
    output: str,
    x: Tensor,
    kernel: Argument,
    shape: Shape,
    multiply: Callable[[Builder, ir.Value, ir.Value], ir.Value] = _float_product,
) -> Tensor | None:
    """`x` times a matrix, if the summed axes are the last of `x` and the other axes stay as they are.

    Args:
        g: the builder.
        terms: letters of the axes of `x` and of the kernel.
        output: letters of the result's axes.
        x: the left operand.
        kernel: the right operand, a constant or a tensor of known shape.
        shape: shape of the result.
        multiply: writes the product of two values, the second of which is a matrix.
    """
    left, right = terms
    summed = [letter for letter in left if letter in right]
    kept, new = left[: len(left) - len(summed)], [letter for letter in right if letter not in summed]
    if not summed or not kept or left != kept + "".join(summed) or output != kept + "".join(new):
        return None
    order = [right.index(letter) for letter in (*summed, *new)]
    of_kernel = kernel.shape if isinstance(kernel, Tensor) else np.shape(kernel)
    sizes = [of_kernel[axis] or 0 for axis in order]
    rows, columns = math.prod(sizes[: len(summed)]), math.prod(sizes[len(summed) :])
    value = x.value
    if len(summed) > 1:
        value = _with_last_axes(g, value, x, len(kept), (rows,))
    value = multiply(g, value, _matrix(g, kernel, order, (rows, columns)))
    if len(new) != 1:
        value = _with_last_axes(g, value, x, len(kept), shape[len(kept) :])
    return g.tensor(value, shape)


def _matrix(g: Builder, kernel: Argument, order: list[int], shape: tuple[int, int]) -> ir.Value:
    """A kernel with its axes in another order, as a matrix."""
    if not isinstance(kernel, Tensor):
        return g.weight(np.transpose(np.asarray(kernel, np.float32), order).reshape(shape), "kernel")
    value = g.transpose(kernel.value, kernel.shape, order)
    return value if len(order) == 2 else g.reshape(value, shape)


def _with_last_axes(g: Builder, value: ir.Value, x: Tensor, kept: int, last: Shape) -> ir.Value:
    """Reshape to the first axes of `x` and last ones of known sizes."""
    if x.shape[1:kept].count(None) <= 1:
        return g.reshape(value, (*x.shape[:kept], *last))
    return reshape_to(g, value, [size_of(g, x, axis) for axis in range(kept)] + [size or -1 for size in last])


def _batched_product(
    g: Builder, terms: list[str], output: str, args: list[Tensor], shape: Shape
) -> Tensor | None:
    """A batched product of two tensors that sums over one axis and keeps one more axis of each."""
    left, right = terms
    batch = [letter for letter in output if letter in left and letter in right]
    summed = [letter for letter in left if letter in right and letter not in output]
    rows, columns = ([letter for letter in term if letter not in batch + summed] for term in terms)
    is_product = [len(summed), len(rows), len(columns)] == [1, 1, 1]
    if not is_product or sorted(output) != sorted(batch + rows + columns):
        return None
    if output.index(rows[0]) > output.index(columns[0]):  # (A B)^T = B^T A^T saves a transpose
        left, right, rows, columns, args = right, left, columns, rows, args[::-1]
    orders = ([*batch, *rows, *summed], [*batch, *summed, *columns])
    values = [
        g.transpose(x.value, x.shape, [term.index(letter) for letter in order])
        for x, term, order in zip(args, (left, right), orders, strict=True)
    ]
    product, letters = g.op("MatMul", *values), [*batch, *rows, *columns]
    sizes = dict(zip(output, shape, strict=True))
    order = [letters.index(letter) for letter in output]
    return g.tensor(g.transpose(product, tuple(sizes[letter] for letter in letters), order), shape)
