"""Functions of TensorFlow that make, join, split and index tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from export.keras2.tf_math import axes_of, dtype_of, like

ops = keras.ops

Function = Callable[..., Any]


def _identity(input: Any, shape: Any = None) -> Any:
    return input


def _getitem(tensor: Any, slice_spec: Any) -> Any:
    return tensor[slice_spec]


def _transpose(a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    return ops.transpose(a, axes_of(perm))


def _reshape(tensor: Any, shape: Any) -> Any:
    return ops.reshape(tensor, tuple(shape))


def _broadcast_to(input: Any, shape: Any) -> Any:
    return ops.broadcast_to(input, tuple(shape))


def _expand_dims(input: Any, axis: Any = None, dim: Any = None) -> Any:
    return ops.expand_dims(input, axis=axes_of(dim if axis is None else axis))


def _squeeze(input: Any, axis: Any = None, squeeze_dims: Any = None) -> Any:
    axis = squeeze_dims if axis is None else axis
    if axis is None:
        raise ValueError("without an axis")
    return ops.squeeze(input, axis=axes_of(axis))


def _concat(values: Any, axis: int) -> Any:
    return ops.concatenate(_tensors(values), axis=axis)


def _stack(values: Any, axis: int = 0) -> Any:
    return ops.stack(_tensors(values), axis=axis)


def _tensors(values: Sequence[Any]) -> list[Any]:
    """Tensors and constants, which get the dtype of the first tensor."""
    dtype = next((dtype_of(x) for x in values if hasattr(x, "dtype")), None)
    return [x if hasattr(x, "dtype") else np.asarray(x, dtype) for x in values]


def _split(value: Any, num_or_size_splits: Any, axis: int = 0, num: int | None = None) -> list[Any]:
    if isinstance(num_or_size_splits, int):
        return list(ops.split(value, num_or_size_splits, axis=axis))
    sizes = list(num_or_size_splits)
    if -1 in sizes:
        sizes[sizes.index(-1)] = value.shape[axis] - sum(sizes) - 1
    return list(ops.split(value, np.cumsum(sizes)[:-1].tolist(), axis=axis))


def _unstack(value: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    return list(ops.unstack(value, num, axis))


def _tile(input: Any, multiples: Any) -> Any:
    return ops.tile(input, multiples)


def _repeat(input: Any, repeats: Any, axis: int | None = None) -> Any:
    return ops.repeat(input, repeats, axis=axis)


def _roll(input: Any, shift: Any, axis: Any) -> Any:
    return ops.roll(input, axes_of(shift), axis=axes_of(axis))


def _reverse(tensor: Any, axis: Any) -> Any:
    return ops.flip(tensor, axis=axes_of(axis))


def _pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> Any:
    widths = [tuple(pair) for pair in paddings]
    if mode.lower() != "constant":
        return ops.pad(tensor, widths, mode=mode.lower())
    return ops.pad(tensor, widths, constant_values=constant_values or None)


def _gather(
    params: Any, indices: Any, validate_indices: Any = None, axis: int | None = None, batch_dims: int = 0
) -> Any:
    if batch_dims:
        raise ValueError(f"with batch_dims={batch_dims}")
    indices = indices if hasattr(indices, "dtype") else np.asarray(indices, np.int32)
    params = params if hasattr(params, "dtype") else np.asarray(params, np.float32)
    return ops.take(params, indices, axis=0 if axis is None else axis)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise ValueError("with a condition alone")
    return ops.where(condition, like(x, y), like(y, x))


def _one_hot(
    indices: Any,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: str | None = None,
) -> Any:
    on, off = (1 if on_value is None else on_value), (0 if off_value is None else off_value)
    hot = ops.one_hot(indices, depth, axis=-1 if axis is None else axis, dtype=dtype or "float32")
    return hot if (on, off) == (1, 0) else ops.add(ops.multiply(hot, on - off), off)


def _range(start: Any, limit: Any = None, delta: Any = 1, dtype: str | None = None) -> Any:
    start, limit = (0, start) if limit is None else (start, limit)
    return ops.arange(start, limit, delta, dtype=dtype)


def _fill(dims: Any, value: Any) -> Any:
    return ops.broadcast_to(value, tuple(dims)) if hasattr(value, "dtype") else ops.full(tuple(dims), value)


def _full(value: float) -> Function:
    return lambda shape, dtype="float32": ops.full(tuple(shape), value, dtype=dtype)


def _full_like(value: float) -> Function:
    return lambda input, dtype=None: ops.full_like(input, value, dtype=dtype)


def _top_k(input: Any, k: int = 1, sorted: bool = True, index_type: str = "int32") -> list[Any]:
    return list(ops.top_k(input, k, sorted))


ARRAYS: dict[str, Function] = {
    "identity": _identity,
    "stop_gradient": _identity,
    "ensure_shape": _identity,
    "__operators__.getitem": _getitem,
    "transpose": _transpose,
    "reshape": _reshape,
    "broadcast_to": _broadcast_to,
    "expand_dims": _expand_dims,
    "squeeze": _squeeze,
    "concat": _concat,
    "stack": _stack,
    "split": _split,
    "unstack": _unstack,
    "tile": _tile,
    "repeat": _repeat,
    "roll": _roll,
    "reverse": _reverse,
    "pad": _pad,
    "gather": _gather,
    "nn.embedding_lookup": _gather,
    "where": _where,
    "one_hot": _one_hot,
    "range": _range,
    "fill": _fill,
    "zeros": _full(0),
    "ones": _full(1),
    "zeros_like": _full_like(0),
    "ones_like": _full_like(1),
    "math.top_k": _top_k,
    "nn.top_k": _top_k,
}
