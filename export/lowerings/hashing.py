"""Hashing of integers into bins: FarmHash of their decimal digits, and a fingerprint of several integers.

The hashes are those of TensorFlow to the bit. ONNX can't read the bytes of a string, so text can't be hashed.
https://github.com/google/farmhash, `farmhashna::Hash64` of up to 20 characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor, is_float
from export.errors import Unsupported
from export.lowerings.categories import encode, refuse_sparse
from export.lowerings.operands import as_int64, cast
from export.lowerings.registry import register_lowering

layers = keras.layers

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F  # FarmHash's
_CROSS_KEY, _CROSS_FACTOR = 0xDECAFCAFFE, 0xC6A4A7935BD1E995  # of TensorFlow's cross_hashed
_DIGITS = 19  # of the longest int64


@dataclass(frozen=True)
class _Bits:
    """64 bits each, in int64 values, whose sums and products wrap around as those of unsigned numbers do."""

    g: Builder
    value: ir.Value

    def __add__(self, other: _Bits | int) -> _Bits:
        return self._with("Add", other)

    def __mul__(self, other: _Bits | int) -> _Bits:
        return self._with("Mul", other)

    def __xor__(self, other: _Bits | int) -> _Bits:
        return self._with("BitwiseXor", other)

    def _with(self, op_type: str, other: _Bits | int) -> _Bits:
        operand = other.value if isinstance(other, _Bits) else np.array(other, np.uint64).astype(np.int64)
        return _Bits(self.g, self.g.op(op_type, self.value, operand))

    def shifted(self, bits: int) -> _Bits:
        """Shifted to the right, with zeros from the left."""
        unsigned = self.g.op("Cast", self.value, to=int(ir.DataType.UINT64))
        shifted = self.g.op("BitShift", unsigned, np.array(bits, np.uint64), direction="RIGHT")
        return _Bits(self.g, self.g.op("Cast", shifted, to=int(ir.DataType.INT64)))

    def rotated(self, bits: int) -> _Bits:
        """Rotated to the right."""
        return self.shifted(bits) + self * 2 ** (64 - bits)

    def mixed(self) -> _Bits:
        """The upper bits mixed into the lower ones."""
        return self ^ self.shifted(47)

    def modulo(self, number: int) -> ir.Value:
        """The remainder as an unsigned number."""
        unsigned = self.g.op("Cast", self.value, to=int(ir.DataType.UINT64))
        rest = self.g.op("Mod", unsigned, np.array(number, np.uint64))
        return self.g.op("Cast", rest, to=int(ir.DataType.INT64))


@register_lowering(layers.Hashing, own_outputs=True)
def lower_hashing(g: Builder, layer: keras.layers.Hashing, x: Tensor) -> Tensor:
    """FarmHash of an integer's decimal digits, modulo the number of bins, in each output mode."""
    refuse_sparse(layer)
    if layer.salt is not None:
        raise Unsupported("a salt, with which Keras takes SipHash")
    if x.dtype in ("string", "bool", "uint64"):
        raise Unsupported(f"{x.dtype} inputs; ONNX can hash integers alone")
    if layer.output_mode == "one_hot" and x.rank > 0 and x.shape[-1] == 1:
        x = g.like(x, g.op("Squeeze", x.value, as_int64(-1)), x.shape[:-1])
    masks = layer.mask_value is not None and layer.num_bins > 1
    numbers = cast(g, x, "int64")
    bins = farmhash(g, numbers, layer.num_bins - masks)
    if masks:
        kept = np.array(layer.mask_value, np.float32 if is_float(x.dtype) else np.int64)
        is_masked = g.op("Equal", x.value if is_float(x.dtype) else numbers, kept)
        bins = g.op("Where", is_masked, as_int64(0), g.op("Add", bins, as_int64(1)))
    return encode(g, g.like(x, bins, dtype="int64"), layer.output_mode, layer.num_bins, layer.dtype)


@register_lowering(layers.HashedCrossing, own_outputs=True)
def lower_hashed_crossing(g: Builder, layer: keras.layers.HashedCrossing, inputs: Sequence[Tensor]) -> Tensor:
    """A fingerprint of several integers, modulo the number of bins."""
    refuse_sparse(layer)
    if any(x.dtype == "string" for x in inputs):
        raise Unsupported("string inputs; ONNX can hash integers alone")
    g.require(18, "BitwiseXor")
    first, *others = (_Bits(g, cast(g, x, "int64")) for x in inputs)
    result = _crossed(_CROSS_KEY, first)
    for number in others:
        result = _crossed(result, number)
    bins = g.like(inputs[0], result.modulo(layer.num_bins), dtype="int64")
    return encode(g, bins, layer.output_mode, layer.num_bins, layer.compute_dtype)


def _crossed(fingerprint: _Bits | int, number: _Bits) -> _Bits:
    """The fingerprint of a fingerprint and a number."""
    result = (number * _CROSS_FACTOR).mixed() * _CROSS_FACTOR ^ fingerprint ^ _CROSS_FACTOR
    return ((result * _CROSS_FACTOR).mixed() * _CROSS_FACTOR).mixed()


def farmhash(g: Builder, numbers: ir.Value, bins: int) -> ir.Value:
    """FarmHash of the decimal digits of int64 numbers, modulo the number of bins."""
    g.require(18, "BitwiseXor")
    text, length = _characters(g, numbers)

    def fetch(first: int, count: int) -> _Bits:
        """Characters from the left, the first one in the lowest bits."""
        offsets = g.op(
            "Sub", g.op("Unsqueeze", length, as_int64(-1)), np.arange(first + 1, first + count + 1)
        )
        return joined(g.op("GatherElements", text, g.op("Max", offsets, np.array(0)), axis=-1), count)

    def fetch_last(end: int, count: int) -> _Bits:
        """`count` characters, of which the first is the `end`th from the right."""
        places = np.arange(end - 1, end - count - 1, -1)
        return joined(g.op("Gather", text, places, axis=-1), count)

    def joined(characters: ir.Value, count: int) -> _Bits:
        # A MatMul: the sums of onnxruntime's ReduceSum are rounded to 53 bits.
        return _Bits(g, g.op("MatMul", characters, 256 ** np.arange(count, dtype=np.int64)))

    size = _Bits(g, length)
    factor = size * 2 + _K2
    middle = g.op("Sub", length, g.op("Add", g.op("Div", length, as_int64(2)), as_int64(1)))
    middle = g.op("GatherElements", text, g.op("Unsqueeze", middle, as_int64(-1)), axis=-1)
    a, b, c = fetch(0, 1), joined(middle, 1), fetch_last(1, 1)
    up_to_3 = (((a + b * 256) * _K2) ^ ((size + c * 4) * _K0)).mixed() * _K2
    up_to_7 = _combined(size + fetch(0, 4) * 8, fetch_last(4, 4), factor)
    first, last = fetch(0, 8), fetch_last(8, 8)
    a = first + _K2
    up_to_16 = _combined(last.rotated(37) * factor + a, (a.rotated(25) + last) * factor, factor)
    a, b, c, d = first * _K1, fetch(8, 8), last * factor, fetch_last(16, 8) * _K2
    longer = _combined((a + b).rotated(43) + c.rotated(30) + d, a + (b + _K2).rotated(18) + c, factor)
    result = longer.value
    for most, shorter in ((16, up_to_16), (7, up_to_7), (3, up_to_3)):
        result = g.op("Where", g.op("LessOrEqual", length, np.array(most)), shorter.value, result)
    return _Bits(g, result).modulo(bins)


def _combined(u: _Bits, v: _Bits, factor: _Bits) -> _Bits:
    """FarmHash's hash of 16 bytes."""
    a = ((u ^ v) * factor).mixed()
    return ((v ^ a) * factor).mixed() * factor


def _characters(g: Builder, numbers: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The characters of decimal numbers from the last one on, along a new last axis, and how many they are."""
    powers = 10 ** np.arange(_DIGITS, dtype=np.int64)
    quotients = g.op("Div", g.op("Unsqueeze", numbers, as_int64(-1)), powers)
    tenths = g.op("Mul", g.op("Div", quotients, as_int64(10)), as_int64(10))
    digits = g.op("Add", g.op("Abs", g.op("Sub", quotients, tenths)), as_int64(ord("0")))
    is_digit = g.op("Not", g.op("Equal", quotients, as_int64(0)))
    count = g.reduce("ReduceSum", g.op("Cast", is_digit, to=int(ir.DataType.INT64)), [-1], keepdims=False)
    count = g.op("Max", count, np.array(1))  # of 0
    is_negative = g.op("Cast", g.op("Less", numbers, np.array(0)), to=int(ir.DataType.INT64))
    # Beyond the digits is the minus sign; nothing is read beyond that.
    sign = np.array(ord("-"))
    is_beyond = g.op("Less", np.arange(_DIGITS), g.op("Unsqueeze", count, as_int64(-1)))
    text = g.op("Where", is_beyond, digits, sign)
    last = g.op("Slice", text, as_int64(0), as_int64(1), as_int64(-1))
    minus = g.op("Add", g.op("Mul", last, as_int64(0)), sign)
    return g.op("Concat", text, minus, axis=-1), g.op("Add", count, is_negative)
