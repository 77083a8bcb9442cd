"""The operands of an operation: tensors and constants that broadcast, in one layout and dtype."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Array, Builder, Tensor, is_float, onnx_dtype

Argument = Tensor | Array


def rank(x: Argument) -> int:
    """Number of axes of a tensor or a constant."""
    return x.rank if isinstance(x, Tensor) else np.ndim(x)


def as_array(value: Array, dtype: str) -> np.ndarray:
    """A constant argument as an array of the graph's type for a Keras dtype."""
    return np.asarray(value).astype(onnx_dtype(dtype).numpy())


def cast(g: Builder, x: Tensor, dtype: str) -> ir.Value:
    """The value of `x` in the graph's type for a Keras dtype."""
    kind = onnx_dtype(dtype)
    return x.value if onnx_dtype(x.dtype) == kind else g.op("Cast", x.value, to=int(kind))


def as_float(g: Builder, x: Tensor) -> Tensor:
    """`x`, or `x` cast to float32 if it is an integer or bool."""
    return x if is_float(x.dtype) else g.like(x, cast(g, x, "float32"), dtype="float32")


def as_value(g: Builder, x: Argument, dtype: str) -> ir.Value:
    """A tensor in Keras' layout, or a constant, in the graph's type for a Keras dtype."""
    return cast(g, g.keras_layout(x), dtype) if isinstance(x, Tensor) else g.constant(as_array(x, dtype))


def as_tensor(g: Builder, x: Argument, dtype: str) -> Tensor:
    """A tensor in Keras' layout, or a constant, as a tensor of the graph's type for a Keras dtype."""
    shape = x.shape if isinstance(x, Tensor) else np.shape(x)
    return g.tensor(as_value(g, x, dtype), shape, dtype=dtype)


def arithmetic_dtype(dtype: str) -> str:
    """The Keras dtype to compute in: onnxruntime has arithmetic for float32, int32 and int64."""
    if is_float(dtype):
        return "float32"
    return "int64" if dtype in ("int64", "uint32", "uint64") else "int32"


def from_arithmetic(g: Builder, value: ir.Value, dtype: str) -> ir.Value:
    """From `arithmetic_dtype(dtype)` to the graph's type for a dtype; integers of fewer bits wrap around."""
    if dtype in ("int8", "int16", "uint16", "uint32"):
        value = g.op("Cast", value, to=int(ir.DataType[dtype.upper()]))
    elif onnx_dtype(dtype) == onnx_dtype(arithmetic_dtype(dtype)):
        return value
    return g.op("Cast", value, to=int(onnx_dtype(dtype)))


def prefer_channels_first(args: Sequence[Argument | None], rank: int) -> bool:
    """Whether tensors that broadcast to `rank` axes fit channels-first layout: one has it, and all can have it."""
    tensors = [x for x in args if isinstance(x, Tensor)]
    return any(x.channels_first for x in tensors) and all(x.rank == rank for x in tensors)


def align(g: Builder, args: Sequence[Argument], rank: int, dtype: str) -> tuple[list[ir.Value], bool]:
    """Bring tensors and constants that broadcast to `rank` axes into one layout and dtype.

    Returns:
        A value for each argument, and whether they are in channels-first layout.
    """
    first = prefer_channels_first(args, rank)
    return [lay_out(g, x, rank, dtype, first) for x in args], first


def lay_out(g: Builder, x: Argument, rank: int, dtype: str, channels_first: bool) -> ir.Value:
    """A tensor or a constant that broadcasts to `rank` axes, in a layout and in the graph's type for a dtype."""
    if isinstance(x, Tensor):
        return cast(g, g.channels_first(x) if channels_first else g.keras_layout(x), dtype)
    array = as_array(x, dtype)
    if array.ndim and channels_first:
        array = np.moveaxis(array.reshape([1] * (rank - array.ndim) + list(array.shape)), -1, 1)
    return g.constant(array)


def operand_dtype(args: Sequence[Argument]) -> str:
    """The dtype that Keras brings operands to."""
    kinds = [x.dtype if isinstance(x, Tensor) else _dtype_of_constant(x) for x in args]
    return str(keras.backend.result_type(*kinds))


def _dtype_of_constant(x: Array) -> str:
    """The dtype of the tensor that Keras makes of a constant: of its own dtype, or 32 bits."""
    dtype = np.asarray(x).dtype
    if hasattr(x, "dtype") or dtype.kind == "b":
        return keras.backend.standardize_dtype(getattr(x, "dtype", dtype))
    return "float32" if dtype.kind == "f" else "int32"


def normalize_axes(axis: int | Sequence[int] | None, rank: int) -> list[int]:
    """One axis, several, or None for all, as ascending axes from 0."""
    if axis is None:
        return list(range(rank))
    given = axis if isinstance(axis, (list, tuple)) else [axis]
    return sorted(operator.index(one) % rank for one in given)  # type: ignore[arg-type]


def as_int64(*numbers: int) -> np.ndarray:
    """An int64 array, which ONNX wants for shapes, axes and indices."""
    return np.array(numbers, np.int64)
