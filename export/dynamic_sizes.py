"""Dynamic sizes while a layer's `call` is traced.

A published layer asks for the size of a dynamic dimension and uses it:

    batch, length = ops.shape(x)[:2]
    tokens = ops.broadcast_to(self.class_token, (batch, 1, self.dim))
    x = ops.reshape(x, (batch, length // 2, -1)) + self.positions[:, : length // 2]

When Keras runs the layer, those sizes are scalar tensors. On symbolic tensors `ops.shape` returns None for them, which
no function takes. So during a trace (`export/trace.py`) `ops.shape` returns a scalar `KerasTensor` for a dynamic
dimension, which one can calculate with, and the functions that take sizes accept it. They are those of this module, and
record the operations of `export/size_operations.py`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from export.size_operations import Arange, BroadcastTo, GetItem, Pad, Reshape, Resize, Segments, SizeOf, Tile

ops = keras.ops

Size = Any  # an int or a scalar KerasTensor


def shape(x: keras.KerasTensor) -> tuple[Size, ...]:
    """The size of each axis: a number, or a scalar symbol for a dynamic dimension."""
    return tuple(
        SizeOf(x, axis).symbolic_call(x) if size is None else size for axis, size in enumerate(x.shape)
    )


def reshape(x: Any, newshape: Any) -> keras.KerasTensor:
    """keras.ops.reshape."""
    sizes = _sizes(newshape)
    known = [None if isinstance(size, keras.KerasTensor) else size for size in sizes]
    if -1 in known:
        known[known.index(-1)] = _remaining_size(x, sizes)
    copied = [0 if _is_size_of(size, x, axis) else size for axis, size in enumerate(sizes)]
    return Reshape(known, _dtype(x)).symbolic_call(x, copied)


def _remaining_size(x: Any, sizes: Sequence[Size]) -> int | None:
    """What -1 stands for, if the dynamic dimensions of `x` are among the sizes and are the only symbols there."""
    dynamic = [axis for axis, size in enumerate(x.shape) if size is None]
    symbols = [size for size in sizes if isinstance(size, keras.KerasTensor)]
    if len(symbols) != len(dynamic):
        return None
    if not all(any(_is_size_of(size, x, axis) for size in symbols) for axis in dynamic):
        return None
    others = math.prod(size for size in sizes if not isinstance(size, keras.KerasTensor) and size != -1)
    return math.prod(size for size in x.shape if size is not None) // others


def broadcast_to(x: Any, shape: Any) -> keras.KerasTensor:
    """keras.ops.broadcast_to."""
    sizes = _sizes(shape)
    new = len(sizes) - len(x.shape)
    known = [None if isinstance(size, keras.KerasTensor) else size for size in sizes]
    kept = [1 if _is_size_of(size, x, axis - new) else size for axis, size in enumerate(sizes)]
    return BroadcastTo(known, _dtype(x)).symbolic_call(x, kept)


def zeros(shape: Any, dtype: str | None = None) -> keras.KerasTensor:
    """keras.ops.zeros."""
    return broadcast_to(np.zeros((), dtype or keras.config.floatx()), shape)


def ones(shape: Any, dtype: str | None = None) -> keras.KerasTensor:
    """keras.ops.ones."""
    return broadcast_to(np.ones((), dtype or keras.config.floatx()), shape)


def full(shape: Any, fill_value: Any, dtype: str | None = None) -> keras.KerasTensor:
    """keras.ops.full."""
    if not isinstance(fill_value, keras.KerasTensor):
        fill_value = ops.convert_to_numpy(ops.convert_to_tensor(fill_value, dtype))
    elif dtype is not None:
        fill_value = ops.cast(fill_value, dtype)
    return broadcast_to(fill_value, shape)


def array(x: Any, dtype: str | None = None) -> keras.KerasTensor:
    """keras.ops.array, and keras.ops.convert_to_tensor: of a symbol, or of numbers and symbols in lists."""
    if isinstance(x, keras.KerasTensor):
        return x if dtype in (None, x.dtype) else ops.cast(x, dtype)
    parts = [array(one, dtype) if holds_symbol(one) else ops.convert_to_tensor(one, dtype) for one in x]
    return ops.stack(parts)


def arange(start: Size, stop: Size = None, step: Size = None, dtype: str | None = None) -> keras.KerasTensor:
    """keras.ops.arange."""
    given = [one for one in (start, stop, step) if one is not None]
    dtype = dtype or keras.backend.result_type(*(getattr(one, "dtype", type(one)) for one in given))
    start, stop = (0, start) if stop is None else (start, stop)
    return Arange((None,), dtype).symbolic_call(start, stop, 1 if step is None else step)


def eye(N: Size, M: Size = None, k: Size = 0, dtype: str | None = None) -> keras.KerasTensor:  # Keras' names
    """keras.ops.eye."""
    rows, columns = ops.expand_dims(ops.arange(N), 1), ops.arange(N if M is None else M)
    return ops.cast(ops.equal(rows + k, columns), dtype or keras.config.floatx())


def identity(n: Size, dtype: str | None = None) -> keras.KerasTensor:
    """keras.ops.identity."""
    return eye(n, dtype=dtype)


def tile(x: Any, repeats: Any) -> keras.KerasTensor:
    """keras.ops.tile."""
    numbers = _sizes(repeats)
    numbers = [1] * (len(x.shape) - len(numbers)) + numbers
    sizes = [1] * (len(numbers) - len(x.shape)) + list(x.shape)
    known = [
        None if size is None or isinstance(number, keras.KerasTensor) else size * number
        for size, number in zip(sizes, numbers, strict=True)
    ]
    return Tile(known, _dtype(x)).symbolic_call(x, numbers)


def repeat(x: Any, repeats: Size, axis: int | None = None) -> keras.KerasTensor:
    """keras.ops.repeat by a single number."""
    if axis is None:
        x, axis = ops.reshape(x, (-1,)), 0
    axis = axis % len(x.shape)
    sizes = list(ops.shape(x))
    if x.shape[axis] == 1:
        return broadcast_to(x, [*sizes[:axis], repeats, *sizes[axis + 1 :]])
    groups = broadcast_to(ops.expand_dims(x, axis + 1), [*sizes[: axis + 1], repeats, *sizes[axis + 1 :]])
    return reshape(groups, [*sizes[:axis], sizes[axis] * repeats, *sizes[axis + 1 :]])


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> keras.KerasTensor:
    """keras.ops.rearrange: axes split, moved and merged, as a pattern such as 'b (h p) c -> b h (p c)' says."""
    before, after = (
        [group.strip("()").split() for group in re.findall(r"\(.*?\)|\w+", side)]
        for side in pattern.split("->")
    )
    sizes: dict[str, Size] = dict(axes_lengths)
    for names, size in zip(before, ops.shape(tensor), strict=True):
        known = math.prod(axes_lengths[name] for name in names if name in axes_lengths)
        for name in names:
            sizes.setdefault(name, size if known == 1 else size // known)
    flat, moved = list(itertools.chain(*before)), list(itertools.chain(*after))
    split = ops.reshape(tensor, [sizes[name] for name in flat])
    in_order = ops.transpose(split, [flat.index(name) for name in moved])
    return ops.reshape(in_order, [math.prod(sizes[name] for name in names) for names in after])


def get_item(x: Any, key: Any) -> keras.KerasTensor:
    """x[key] with symbols among the indices, or in slices."""
    keys = list(key) if isinstance(key, (tuple, list)) else [key]
    named = sum(one is not None and one is not Ellipsis for one in keys)
    ellipsis = next((i for i, one in enumerate(keys) if one is Ellipsis), len(keys))
    keys[ellipsis : ellipsis + 1] = [slice(None)] * (len(x.shape) - named)
    sizes = iter(x.shape)
    known = [size for one in keys for size in _sizes_of_item(one, sizes)]
    plain = [(one.start, one.stop, one.step) if isinstance(one, slice) else one for one in keys]
    return GetItem(known, _dtype(x)).symbolic_call(x, plain)


def _sizes_of_item(one: Any, sizes: Iterator[int | None]) -> list[int | None]:
    """The sizes of the axes that an item of a key leaves; those of the tensor are taken from an iterator."""
    if one is None:
        return [1]
    size = next(sizes)
    if not isinstance(one, slice):
        return []
    bounds = (one.start, one.stop, one.step)
    if bounds == (None, None, None):
        return [size]
    if size is None or any(isinstance(bound, keras.KerasTensor) for bound in bounds):
        return [None]
    return [len(range(*one.indices(size)))]


def slice_of(inputs: Any, start_indices: Any, shape: Any) -> keras.KerasTensor:
    """keras.ops.slice."""
    starts = start_indices if isinstance(start_indices, (tuple, list)) else list(start_indices)
    ends = [
        None if not isinstance(size, keras.KerasTensor) and size == -1 else start + size
        for start, size in zip(starts, _sizes(shape), strict=True)
    ]
    return get_item(inputs, [slice(start, end) for start, end in zip(starts, ends, strict=True)])


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> keras.KerasTensor:
    """keras.ops.pad with a pair of sizes for each axis."""
    before, after = zip(*pad_width, strict=True)
    known = [
        None if size is None or holds_symbol(pair) else size + sum(pair)
        for size, pair in zip(x.shape, pad_width, strict=True)
    ]
    value = 0 if constant_values is None else constant_values
    return Pad(known, _dtype(x), mode).symbolic_call(x, before, after, value)


def resize(
    images: Any,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> keras.KerasTensor:
    """keras.ops.image.resize without regard of the aspect ratio."""
    if crop_to_aspect_ratio or pad_to_aspect_ratio:
        raise ValueError("a resize that keeps the aspect ratio, to a dynamic size")
    sizes = _sizes(size)
    is_last = (data_format or keras.config.image_data_format()) == "channels_last"
    height = len(images.shape) - (3 if is_last else 2)
    known = list(images.shape)
    known[height : height + 2] = [None if isinstance(one, keras.KerasTensor) else one for one in sizes]
    return Resize(known, _dtype(images), interpolation, antialias, data_format).symbolic_call(images, sizes)


def segment_sum(
    data: Any, segment_ids: Any, num_segments: Size = None, sorted: bool = False
) -> keras.KerasTensor:
    """keras.ops.segment_sum."""
    operation = Segments((None, *data.shape[1:]), _dtype(data), "SegmentSum")
    return operation.symbolic_call(data, segment_ids, num_segments)


def segment_max(
    data: Any, segment_ids: Any, num_segments: Size = None, sorted: bool = False
) -> keras.KerasTensor:
    """keras.ops.segment_max."""
    operation = Segments((None, *data.shape[1:]), _dtype(data), "SegmentMax")
    return operation.symbolic_call(data, segment_ids, num_segments)


def vector(sizes: Sequence[Size]) -> keras.KerasTensor:
    """Sizes as an int32 vector."""
    symbols = [x if isinstance(x, keras.KerasTensor) else ops.full((), x, "int32") for x in sizes]
    return ops.stack(symbols)


def _sizes(given: Any) -> list[Size]:
    """One size, several, or a vector of them, as a list."""
    if isinstance(given, keras.KerasTensor) and len(given.shape) == 1 and given.shape[0] is not None:
        return [given[index] for index in range(given.shape[0])]
    return list(given) if isinstance(given, (tuple, list)) else [given]


def _is_size_of(size: Size, x: Any, axis: int) -> bool:
    """Whether a size is that of an axis of `x`."""
    operation = size._keras_history.operation if isinstance(size, keras.KerasTensor) else None
    return isinstance(operation, SizeOf) and operation.source is x and operation.axis == axis


def _dtype(x: Any) -> str:
    return keras.backend.standardize_dtype(x.dtype)


def holds_symbol(x: Any) -> bool:
    """Whether an argument is or holds a symbolic tensor, in a slice too."""
    if isinstance(x, slice):
        return holds_symbol((x.start, x.stop, x.step))
    if isinstance(x, (tuple, list)):
        return any(map(holds_symbol, x))
    return isinstance(x, keras.KerasTensor)
