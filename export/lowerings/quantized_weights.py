"""Weights of few bits: stored as integers, and converted to float32 when a runtime loads the model.

    w = q / scale             with a scale for each channel
    w = (q - zero) scale      with a scale and a zero point for each channel of a group of rows

All that the conversion takes is constant, so that a runtime computes it once. A DequantizeLinear would say the same in
one node, but onnxruntime merges it with a matrix product into one that rounds its inputs to 8 bits, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder
from export.errors import Unsupported
from export.lowerings.operands import as_int64

_HALF_BYTE = np.array(4, np.uint8)


@dataclass(frozen=True)
class Codes:
    """Integers in a graph, as the bytes that they are stored in.

    Attributes:
        value: uint8 numbers, each an integer plus `offset`, or two of them.
        offset: what is added to the integers.
        packed: length of the last axis, if each byte holds two integers: those of the first half of the axis are in
            the low bits. None: a byte each.
    """

    value: ir.Value
    offset: int
    packed: int | None = None

    def unpacked(self, g: Builder) -> ir.Value:
        """The integers plus `offset`, one in a byte."""
        if self.packed is None:
            return self.value
        high = g.op("BitShift", self.value, _HALF_BYTE, direction="RIGHT")
        low = g.op("BitShift", self.value, _HALF_BYTE, direction="LEFT")
        low = g.op("BitShift", low, _HALF_BYTE, direction="RIGHT")
        both = g.op("Concat", low, high, axis=-1)
        if self.packed % 2 == 0:
            return both
        return g.op("Slice", both, as_int64(0), as_int64(self.packed), as_int64(-1))

    def rows(self, g: Builder, positions: ir.Value) -> Codes:
        """Rows by their positions."""
        return replace(self, value=g.op("Gather", self.value, positions, axis=0))

    def transposed(self, g: Builder) -> Codes:
        """A matrix of integers with its axes exchanged."""
        return Codes(g.op("Transpose", self.unpacked(g), perm=[1, 0]), self.offset)

    def as_float(self, g: Builder) -> ir.Value:
        """The integers as float32."""
        value = g.op("Cast", self.unpacked(g), to=int(ir.DataType.FLOAT))
        return g.op("Sub", value, float(self.offset)) if self.offset else value


def store(g: Builder, integers: np.ndarray, name: str) -> Codes:
    """Add integers from -128 to 127, or from 0 to 255, as a constant of the fewest bytes."""
    low, high = int(integers.min(initial=0)), int(integers.max(initial=0))
    offset = 0 if low >= 0 else 8 if low >= -8 and high <= 7 else 128
    codes = (integers.astype(np.int16) + offset).astype(np.uint8)
    if high + offset > 15:
        return Codes(g.constant(codes, name), offset)
    size = codes.shape[-1]
    half = (size + 1) // 2
    second = np.zeros((*codes.shape[:-1], half), np.uint8)
    second[..., : size - half] = codes[..., half:]
    return Codes(g.constant(codes[..., :half] | second << 4, name), offset, size)


@dataclass(frozen=True)
class Groups:
    """The scales and zero points of a matrix, of which each row belongs to a group.

    Attributes:
        scale: a scale for each group and column.
        zero: a zero point for each group and column.
        of_row: the group of each row.
    """

    scale: np.ndarray
    zero: np.ndarray
    of_row: np.ndarray

    def dequantized(self, g: Builder, codes: Codes) -> ir.Value:
        """(q - zero) scale, in float32."""
        rows = self.of_row.astype(np.int64)
        scale = g.constant(self.scale.astype(np.float32), "scale")
        zero = g.constant(self.zero.astype(np.float32) + codes.offset, "zero")
        if len(self.scale) > 1:
            scale, zero = (g.op("Gather", value, rows, axis=0) for value in (scale, zero))
        integers = g.op("Cast", codes.unpacked(g), to=int(ir.DataType.FLOAT))
        return g.op("Mul", g.op("Sub", integers, zero), scale)


def as_numpy(variable: Any) -> np.ndarray:
    """The value of a Keras variable, or of a tensor."""
    return np.asarray(keras.ops.convert_to_numpy(variable))


def unpack_int4(packed: Any, size: int, axis: int, dtype: str = "int8") -> np.ndarray:
    """The integers of 4 bits that Keras stores in pairs along an axis."""
    return as_numpy(keras.quantizers.unpack_int4(keras.ops.convert_to_tensor(packed), size, axis, dtype))


def block_size(layer: Any) -> int | None:
    """The size of the blocks of weights that share a scale, in mode int4; None for a scale for each channel."""
    if not hasattr(layer, "_int4_block_size"):
        raise Unsupported(
            "int4 of an old version of Keras, with another layout; load and save it with a new one"
        )
    size = layer._int4_block_size
    return None if size in (None, -1) else size


def lora_factor(layer: Any) -> float:
    """What the product of a layer's LoRA matrices is multiplied by; 1 before Keras 3.10, which has no alpha."""
    return getattr(layer, "lora_alpha", layer.lora_rank) / layer.lora_rank
