"""ONNX's TensorProto files, `input_0.pb` and `output_0.pb`, with NumPy alone: the packages onnx and protobuf are not
needed where a model is served.

A message is a series of fields, each a key (number of the field << 3 | wire type) and a value: a varint (wire type 0)
or a length and so many bytes (2). Of a TensorProto, the dimensions (field 1), the data type (2), the name (8) and the
data are read and written: raw little-endian bytes (9), or strings (6).

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from export.errors import UserError

# Numbers of TensorProto.DataType.
_TYPES = {
    **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool"},
    **{10: "float16", 11: "float64", 12: "uint32", 13: "uint64"},
}
_STRING = 8
_DIMS, _TYPE, _STRINGS, _NAME, _RAW = 1, 2, 6, 8, 9


def encode(array: np.ndarray, name: str) -> bytes:
    """A TensorProto's bytes: the array and its name.

    Raises:
        UserError: ONNX has no such data type.
    """
    is_text = array.dtype.kind in "OUS"
    number = (
        _STRING
        if is_text
        else next((key for key, dtype in _TYPES.items() if dtype == array.dtype.name), None)
    )
    if number is None:
        raise UserError(f"tensor {name!r}: expected numbers or strings, got {array.dtype}")
    header = b"".join(_key(_DIMS, 0) + _varint(size) for size in array.shape)
    header += _key(_TYPE, 0) + _varint(number) + _bytes(_NAME, name.encode())
    if is_text:
        texts = (x if isinstance(x, bytes) else str(x).encode() for x in array.ravel())
        return header + b"".join(_bytes(_STRINGS, text) for text in texts)
    little_endian = array.astype(array.dtype.newbyteorder("<"), order="C")
    return header + _bytes(_RAW, little_endian.tobytes())


def decode(content: bytes) -> tuple[str, np.ndarray]:
    """The name and the array of a TensorProto.

    Raises:
        UserError: it is damaged, or holds its data in another way than as raw bytes or strings.
    """
    dims: list[int] = []
    number, name, raw, texts = 0, "", b"", []
    for field, value in _fields(content):
        if field == _DIMS and isinstance(value, int):
            dims.append(value)
        elif field == _TYPE and isinstance(value, int):
            number = value
        elif field == _NAME and isinstance(value, bytes):
            name = value.decode(errors="replace")
        elif field == _RAW and isinstance(value, bytes):
            raw = value
        elif field == _STRINGS and isinstance(value, bytes):
            texts.append(value.decode(errors="replace"))
    if number == _STRING and len(texts) == math.prod(dims):
        return name, np.array(texts, dtype=object).reshape(dims)
    dtype = np.dtype(_TYPES.get(number, "V1")).newbyteorder("<")
    if number not in _TYPES or len(raw) != dtype.itemsize * math.prod(dims):
        raise UserError(
            f"tensor {name!r}: expected {dims} numbers as raw data, got {len(raw)} bytes of type {number}"
        )
    return name, np.frombuffer(raw, dtype).astype(dtype.newbyteorder("=")).reshape(dims)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])


def _bytes(field: int, content: bytes) -> bytes:
    return _key(field, 2) + _varint(len(content)) + content


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = content[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise IndexError

    try:
        while position < len(content):
            key = varint()
            if key & 7 == 0:
                yield key >> 3, varint()
                continue
            if key & 7 != 2:
                raise IndexError
            length = varint()
            if position + length > len(content):
                raise IndexError
            yield key >> 3, content[position : position + length]
            position += length
    except IndexError:
        raise UserError("expected an ONNX tensor, got a damaged file, or one with packed fields") from None
