"""Quantized dense layers: Dense and EinsumDense in the modes int8, int4, float8, gptq and awq."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

import keras
import ml_dtypes
import numpy as np

from export.builder import Builder, Shape, Tensor
from export.errors import Unsupported
from export.lowerings.activation import activate
from export.lowerings.linear import einsum, product_with_matrix
from export.lowerings.operands import as_float, as_int64
from export.lowerings.quantized_inputs import (
    FLOAT8_MAX,
    from_float8,
    multiply_integers,
    quantize_inputs,
    through_float8,
)
from export.lowerings.quantized_weights import Groups, as_numpy, block_size, lora_factor, store, unpack_int4
from export.lowerings.registry import register_quantized

layers = keras.layers


@register_quantized(layers.Dense, layers.EinsumDense)
def lower_quantized_dense(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """An Einstein sum with quantized weights and, depending on the mode, quantized inputs."""
    mode = layer.quantization_mode
    if layer.compute_dtype != "float32":
        raise Unsupported(f"it is quantized to {mode} and computes in {layer.compute_dtype}, not in float32")
    x, equation = as_float(g, x), _equation(layer, x.rank)
    if mode == "float8":
        y = _float8_product(g, layer, equation, x)
    elif mode in ("gptq", "awq"):
        y = einsum(g, equation, x, _dequantized(g, layer))
    elif mode in ("int8", "int4"):
        y = _integer_product(g, layer, equation, x)
        y = _with_lora(g, layer, equation, x, y) if layer.lora_enabled else y
    else:
        raise Unsupported(f"it is quantized to {mode}; export the model before it is quantized")
    if layer.bias is not None:
        bias = as_numpy(layer.bias)
        if mode == "float8":
            bias = bias.astype(ml_dtypes.bfloat16)  # as Keras does
        y = g.like(y, g.op("Add", y.value, g.weight(bias, "bias")))
    return activate(g, layer.activation, y)


def _equation(layer: Any, rank: int) -> str:
    """The Einstein sum of a layer, with a letter for each axis."""
    if isinstance(layer, layers.Dense):
        axes = ascii_letters[: rank - 1]
        return f"{axes}Y,YZ->{axes}Z"
    equation = layer.equation.replace(" ", "")
    left = equation.split(",")[0].replace("...", "")
    free = [letter for letter in ascii_letters if letter not in equation]
    return equation.replace("...", "".join(free[: rank - len(left)]))


def _letters(equation: str) -> tuple[str, str, str]:
    terms, output = equation.split("->")
    left, right = terms.split(",")
    return left, right, output


def _integer_product(g: Builder, layer: Any, equation: str, x: Tensor) -> Tensor:
    """Modes int8 and int4: with rounded inputs, the product of integers, divided by both scales."""
    quantizer, is_int8 = layer.inputs_quantizer, layer.quantization_mode == "int8"
    is_grouped = not is_int8 and block_size(layer) is not None
    if quantizer is None or is_grouped:
        if is_int8 and isinstance(layer, layers.EinsumDense):  # its scale has the layout of the output
            codes = as_numpy(layer._kernel)
            y = einsum(g, equation, x, g.tensor(store(g, codes, "kernel").as_float(g), codes.shape))
            return g.like(y, g.op("Div", y.value, g.weight(layer.kernel_scale, "scale")))
        return einsum(g, equation, x, _dequantized(g, layer))
    left, _, output = _letters(equation)
    rounded, scale = quantize_inputs(
        g, quantizer, x, [axis for axis, letter in enumerate(left) if letter not in output]
    )
    integers = g.like(x, rounded)
    scale = _in_layout_of_output(g, scale, x, equation)
    if not is_int8 and isinstance(layer, layers.EinsumDense):
        y = einsum(g, equation, integers, _dequantized(g, layer))
        return g.like(y, g.op("Div", y.value, scale))
    codes = as_numpy(layer._kernel) if is_int8 else unpack_int4(layer._kernel, layer.units, -1)
    y = _product_of_integers(g, equation, integers, codes)
    scales = g.op("Mul", g.weight(layer.kernel_scale, "scale"), scale)
    return g.like(y, g.op("Div", y.value, scales))


def _product_of_integers(g: Builder, equation: str, x: Tensor, codes: np.ndarray) -> Tensor:
    """An Einstein sum of integers: a matrix product, with transposes where the equation has none."""
    left, right, output = _letters(equation)
    kernel = store(g, codes, "kernel")
    summed = [letter for letter in left if letter in right]
    kept = [letter for letter in left if letter not in right]
    new = [letter for letter in right if letter not in left]
    if not summed or not kept or sorted(output) != sorted((*kept, *new)):  # no product of two matrices
        return einsum(g, equation, x, g.tensor(kernel.as_float(g), codes.shape))
    sizes: dict[str, int | None] = {
        **dict(zip(right, codes.shape, strict=True)),
        **dict(zip(left, x.shape, strict=True)),
    }
    order = [left.index(letter) for letter in (*kept, *summed)]
    x = g.tensor(g.transpose(x.value, x.shape, order), tuple(x.shape[axis] for axis in order))
    product = product_with_matrix(
        g,
        ("".join((*kept, *summed)), right),
        "".join((*kept, *new)),
        x,
        g.tensor(kernel.unpacked(g), codes.shape, dtype="uint8"),
        tuple(sizes[letter] for letter in (*kept, *new)),
        lambda g, a, b: multiply_integers(g, a, b, kernel.offset),
    )
    if product is None:
        raise Unsupported(f"the equation {equation!r} in integers")
    order = [[*kept, *new].index(letter) for letter in output]
    return g.tensor(g.transpose(product.value, product.shape, order), tuple(product.shape[a] for a in order))


def _in_layout_of_output(g: Builder, scale: Any, x: Tensor, equation: str) -> Any:
    """The scale of the inputs, which has size 1 in the summed axes, with the axes of the output."""
    left, _, output = _letters(equation)
    kept = [letter for letter in left if letter in output]
    summed = [axis for axis, letter in enumerate(left) if letter not in output]
    new = [axis for axis, letter in enumerate(output) if letter not in left]
    order = [kept.index(letter) for letter in output if letter in kept]
    if summed == new and order == list(range(len(kept))):
        return scale
    scale = g.op("Squeeze", scale, as_int64(*summed))
    shape: Shape = tuple(size for size, letter in zip(x.shape, left, strict=True) if letter in kept)
    return g.op("Unsqueeze", g.transpose(scale, shape, order), as_int64(*new))


def _dequantized(g: Builder, layer: Any) -> Tensor | np.ndarray:
    """The kernel in float32, in the shape that Keras has."""
    mode, is_dense = layer.quantization_mode, isinstance(layer, layers.Dense)
    if mode in ("int8", "int4"):
        if mode == "int8":
            integers = as_numpy(layer._kernel)
        else:
            columns = layer.units if is_dense else layer._int4_unpacked_column_size
            integers = unpack_int4(layer._kernel, columns, -1)
        codes = store(g, integers, "kernel")
        if mode == "int4" and block_size(layer) is not None:
            groups = Groups(as_numpy(layer.kernel_scale), as_numpy(layer.kernel_zero), as_numpy(layer.g_idx))
            value = groups.dequantized(g, codes)
        else:
            value = g.op("Div", codes.as_float(g), g.weight(layer.kernel_scale, "scale"))
        return _in_shape(g, value, integers, layer)
    if not getattr(layer, f"is_{mode}_calibrated", False):
        return as_numpy(layer._kernel)
    return _calibrated(g, layer)


def _calibrated(g: Builder, layer: Any) -> Tensor:
    """The kernel of the modes gptq and awq, which Keras has transposed, in float32."""
    mode, is_dense = layer.quantization_mode, isinstance(layer, layers.Dense)
    columns = layer.units if is_dense else getattr(layer, f"{mode}_unpacked_column_size")
    integers = as_numpy(layer.quantized_kernel)
    if len(integers) != columns:  # two rows in a byte
        integers = unpack_int4(layer.quantized_kernel, columns, 0, "uint8")
    integers = integers.T
    scale, zero = as_numpy(layer.kernel_scale).T, as_numpy(layer.kernel_zero).T
    value = Groups(scale, zero, as_numpy(layer.g_idx)).dequantized(g, store(g, integers, "kernel"))
    if mode == "awq":
        value = g.op("Div", value, g.weight(as_numpy(layer.awq_scales)[:, np.newaxis], "awq_scales"))
    return _in_shape(g, value, integers, layer)


def _in_shape(g: Builder, value: Any, integers: np.ndarray, layer: Any) -> Tensor:
    """A dequantized matrix in the shape of the layer's kernel."""
    shape = tuple(getattr(layer, "original_kernel_shape", integers.shape))
    return g.tensor(value if shape == integers.shape else g.reshape(value, shape), shape)


def _float8_product(g: Builder, layer: Any, equation: str, x: Tensor) -> Tensor:
    """Mode float8: the product of inputs and a kernel that are rounded to float8."""
    x = through_float8(g, x, float(as_numpy(layer.inputs_scale)))
    scale = as_numpy(layer.kernel_scale).astype(np.float32)
    kernel = np.clip(as_numpy(layer._kernel) / scale, -FLOAT8_MAX, FLOAT8_MAX)
    codes = g.constant(kernel.astype(ml_dtypes.float8_e4m3fn), "kernel")
    return einsum(g, equation, x, g.tensor(from_float8(g, codes, float(scale)), kernel.shape))


def _with_lora(g: Builder, layer: Any, equation: str, x: Tensor, y: Tensor) -> Tensor:
    """y + alpha / rank (x A) B."""
    a, b = as_numpy(layer.lora_kernel_a), as_numpy(layer.lora_kernel_b)
    inner = einsum(g, equation, x, a)
    delta = g.op("MatMul", inner.value, g.weight(b * np.float32(lora_factor(layer)), "lora_b"))
    return g.like(y, g.op("Add", y.value, delta))
