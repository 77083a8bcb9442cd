"""What quantized layers do to their inputs: they round them to integers, or to float8.

AbsMaxQuantizer, over the axes that are summed:

    scale = high / (max |x| + epsilon)
    q     = round(x scale)

float8, with a constant scale:

    x' = float8(clip(x / scale, -448, 448)) scale
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported

FLOAT8_MAX = 448.0


def quantize_inputs(g: Builder, quantizer: Any, x: Tensor, axes: Sequence[int]) -> tuple[ir.Value, ir.Value]:
    """The integers, as float32, and their scale, in which the axes have size 1.

    Raises:
        Unsupported: the quantizer is not Keras' own, or makes other numbers than int8.
    """
    if type(quantizer) is not keras.quantizers.AbsMaxQuantizer or quantizer.output_dtype != "int8":
        raise Unsupported(
            f"its inputs are quantized by {type(quantizer).__name__}, not by AbsMaxQuantizer to int8"
        )
    low, high = quantizer.value_range
    largest = g.reduce("ReduceMax", g.op("Abs", x.value), axes)
    scale = g.op("Div", float(high), g.op("Add", largest, float(quantizer.epsilon)))
    rounded = g.op("Round", g.op("Mul", x.value, scale))
    return (g.op("Clip", rounded, float(low), float(high)) if low > -high else rounded), scale


def multiply_integers(g: Builder, x: ir.Value, matrix: ir.Value, offset: int) -> ir.Value:
    """The product of integers in float32 and of integers plus `offset` in uint8, in float32.

    Both are uint8 in the graph: onnxruntime's product with int8 saturates on processors without VNNI.
    """
    codes = g.op("Cast", g.op("Add", x, 128.0), to=int(ir.DataType.UINT8))
    zeros = [np.array(zero, np.uint8) for zero in (128, offset)]
    product = g.op("MatMulInteger", codes, matrix, *zeros)
    return g.op("Cast", product, to=int(ir.DataType.FLOAT))


def through_float8(g: Builder, x: Tensor, scale: float) -> Tensor:
    """The inputs rounded to float8, times the scale."""
    g.require(19, "float8")
    value = g.op("Div", x.value, scale) if scale != 1 else x.value
    value = g.op("Clip", value, -FLOAT8_MAX, FLOAT8_MAX)
    value = g.op("Cast", value, to=int(ir.DataType.FLOAT8E4M3FN))
    return g.like(x, from_float8(g, value, scale))


def from_float8(g: Builder, value: ir.Value, scale: float) -> ir.Value:
    """Numbers in float8 as float32, times the scale."""
    value = g.op("Cast", value, to=int(ir.DataType.FLOAT))
    return g.op("Mul", value, scale) if scale != 1 else value
