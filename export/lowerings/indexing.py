"""Operations of keras.ops that move, join, cut, repeat or look up values and compute none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.elementwise import align, as_array, cast, is_constant, register_operation, symbol

TO_THE_END = np.iinfo(np.int64).max


def _int64(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@register_operation("reshape", symbol(2, 2), (4,))
def lower_reshape(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Another shape, the order of the elements kept."""
    if isinstance(getattr(layer, "newshape", None), Tensor):
        raise Unsupported("reshape to a shape that is computed")
    return Tensor(g.reshape(g.keras_layout(x).value, g.output_shapes[0]), g.output_shapes[0])


def _transposed(g: Builder, x: Tensor, order: Sequence[int]) -> Tensor:
    x = g.keras_layout(x)
    return Tensor(g.transpose(x.value, x.shape, order), g.output_shapes[0])


@register_operation("transpose", symbol(2, 2))
def lower_transpose(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Axes in another order."""
    axes = layer.axes if layer.axes is not None else range(x.rank)[::-1]
    return _transposed(g, x, [axis % x.rank for axis in axes])


@register_operation("moveaxis", symbol(2, 2), 0, 1)
def lower_moveaxis(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Some axes at other places."""
    order = np.moveaxis(np.empty(range(1, x.rank + 1)), layer.source, layer.destination).shape
    return _transposed(g, x, [size - 1 for size in order])


@register_operation("swapaxes", symbol(2, 2), 0, 1)
def lower_swapaxes(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Two axes exchanged."""
    order = list(range(x.rank))
    first, second = layer.axis1 % x.rank, layer.axis2 % x.rank
    order[first], order[second] = second, first
    return _transposed(g, x, order)


@register_operation("expand_dims", symbol(2, 2), 0)
def lower_expand_dims(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """New axes of one place."""
    rank = len(g.output_shapes[0])
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    value = g.op("Unsqueeze", g.keras_layout(x).value, _int64(*sorted(axis % rank for axis in axes)))
    return Tensor(value, g.output_shapes[0])


@register_operation("squeeze", symbol(2, 1))
def lower_squeeze(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Without axes of one place."""
    given = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    axes = [axis for axis, size in enumerate(x.shape) if size == 1] if layer.axis is None else given
    value = g.op("Squeeze", g.keras_layout(x).value, _int64(*sorted(axis % x.rank for axis in axes)))
    return Tensor(value, g.output_shapes[0])


@register_operation("concatenate", [symbol(2, 2), symbol(2, 2)])
def lower_concatenate(g: Builder, layer: Any, xs: Sequence[Any]) -> Tensor:
    """Several tensors one behind another along an axis."""
    shape = g.output_shapes[0]
    values, first = align(g, xs, len(shape), g.output_dtypes[0])
    result = Tensor(values[0], shape, first)
    return g.like(result, g.op("Concat", *values, axis=g.axis(result, layer.axis)))


@register_operation("stack", [symbol(2, 2), symbol(2, 2)])
def lower_stack(g: Builder, layer: Any, x: Sequence[Any]) -> Tensor:
    """Several tensors side by side along a new axis."""
    shape = g.output_shapes[0]
    axis = layer.axis % len(shape)
    held = [g.keras_layout(one) if isinstance(one, Tensor) else one for one in x]
    values, _ = align(g, held, len(shape) - 1, g.output_dtypes[0])
    parts = [g.op("Unsqueeze", value, _int64(axis)) for value in values]
    return Tensor(g.op("Concat", *parts, axis=axis), shape)


@register_operation("split", symbol(2, 2), 2)
def lower_split(g: Builder, layer: Any, x: Tensor) -> list[Tensor]:
    """Parts along an axis."""
    axis = layer.axis % x.rank
    sizes = [shape[axis] for shape in g.output_shapes]
    if None in sizes:
        raise Unsupported("split along an open axis")
    if len(sizes) == 1:
        return [x]
    values = g.op("Split", x.value, _int64(*sizes), axis=g.axis(x, axis), outputs=len(sizes))
    return [g.like(x, value, shape) for value, shape in zip(values, g.output_shapes, strict=True)]


@register_operation("unstack", symbol(2, 2))
def lower_unstack(g: Builder, layer: Any, x: Tensor) -> list[Tensor]:
    """The places of an axis as tensors of their own."""
    x, axis, shapes = g.keras_layout(x), layer.axis % x.rank, g.output_shapes
    places = [g.op("Gather", x.value, np.array(place, np.int64), axis=axis) for place in range(len(shapes))]
    return [Tensor(value, shape) for value, shape in zip(places, shapes, strict=True)]


@register_operation(lambda x: x[0], symbol(2, 2))
def lower_getitem(g: Builder, layer: Any, x: Tensor, key: Any) -> Tensor:
    """The formula x[key], of whole numbers, slices, ... and None."""
    x = g.keras_layout(x)
    keys = list(key) if isinstance(key, (tuple, list)) else [key]
    if any(isinstance(one, (Tensor, list, np.ndarray)) or keras.ops.is_tensor(one) for one in keys):
        raise Unsupported("indexing by a tensor; use ops.take")
    named = sum(one is not None and one is not Ellipsis for one in keys)
    place = next((i for i, one in enumerate(keys) if one is Ellipsis), len(keys))
    keys[place : place + 1] = [slice(None)] * (x.rank - named)
    bounds: list[tuple[int, int, int, int]] = []  # start, end, axis, step
    dropped: list[int] = []
    added: list[int] = []
    axis = 0
    for one in keys:
        if one is None:
            added.append(axis - len(dropped) + len(added))
            continue
        if isinstance(one, slice):
            start, stop, step = one.start, one.stop, 1 if one.step is None else one.step
            if (start, stop, step) != (None, None, 1):
                begin = (0 if step > 0 else TO_THE_END) if start is None else start
                end = (TO_THE_END if step > 0 else -TO_THE_END) if stop is None else stop
                bounds.append((begin, end, axis, step))
        else:
            bounds.append((one, one + 1 if one != -1 else TO_THE_END, axis, 1))
            dropped.append(axis)
        axis += 1
    value = x.value
    if bounds:
        value = g.op("Slice", value, *(_int64(*column) for column in zip(*bounds, strict=True)))
    if dropped:
        value = g.op("Squeeze", value, _int64(*dropped))
    if added:
        value = g.op("Unsqueeze", value, _int64(*added))
    return Tensor(value, g.output_shapes[0])


@register_operation(
    "take",
    symbol(2, 2),
    symbol(
        2,
    ),
    axis=0,
)
def lower_take(g: Builder, layer: Any, x: Any, indices: Any) -> Tensor:
    """Values at indices along an axis; negative ones count from the end."""
    if layer.axis is None:
        raise Unsupported("take without an axis")
    held = g.constant(as_array(x, g.output_dtypes[0])) if is_constant(x) else g.keras_layout(x).value
    rank = np.ndim(x) if is_constant(x) else x.rank
    if is_constant(indices):
        places = g.constant(np.asarray(indices, np.int64))
    elif indices.dtype in ("int32", "int64"):
        places = g.keras_layout(indices).value
    else:
        places = cast(g, g.keras_layout(indices), "int32")
    return Tensor(g.op("Gather", held, places, axis=layer.axis % rank), g.output_shapes[0])


@register_operation("pad", symbol(2, 2), ((1, 1), (1, 1)))
def lower_pad(g: Builder, layer: Any, x: Tensor, constant_values: Any = None) -> Tensor:
    """Values around: a constant, or the tensor's own, mirrored."""
    modes = {"constant": "constant", "reflect": "reflect", "edge": "edge", "symmetric": None}
    mode = modes.get(layer.mode)
    if mode is None:
        raise Unsupported(f"pad in mode {layer.mode!r}")
    pairs = layer.pad_width
    pairs = [pairs] * x.rank if isinstance(pairs, int) else list(pairs)
    pairs = [(one, one) if isinstance(one, int) else tuple(one) for one in pairs]
    pairs = pairs * x.rank if len(pairs) == 1 else pairs
    held = sorted(range(x.rank), key=lambda axis: g.axis(x, axis))
    pads = _int64(*(pairs[axis][side] for side in (0, 1) for axis in held))
    fill = None if not constant_values else as_array(constant_values, g.output_dtypes[0])
    return g.result(x, g.op("Pad", x.value, pads, fill, mode=mode))


@register_operation("flip", symbol(2, 2))
def lower_flip(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Axes in reverse."""
    given = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    axes = range(x.rank) if layer.axis is None else [axis % x.rank for axis in given]
    held = _int64(*(g.axis(x, axis) for axis in axes))
    ends = np.full_like(held, -TO_THE_END)
    return g.like(x, g.op("Slice", x.value, np.full_like(held, -1), ends, held, np.full_like(held, -1)))


@register_operation("tile", symbol(2, 2), (1, 2))
def lower_tile(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """The whole repeated along axes."""
    x, shape = g.keras_layout(x), g.output_shapes[0]
    repeats = [layer.repeats] if isinstance(layer.repeats, int) else list(layer.repeats)
    value = x.value
    if len(shape) > x.rank:
        value = g.op("Unsqueeze", value, _int64(*range(len(shape) - x.rank)))
    return Tensor(g.op("Tile", value, _int64(*[1] * (len(shape) - len(repeats)), *repeats)), shape)


@register_operation("repeat", symbol(2, 2), 2, axis=1)
def lower_repeat(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Each place of an axis repeated."""
    if not isinstance(layer.repeats, int) or layer.axis is None:
        raise Unsupported("repeat without an axis, or by several numbers")
    axis = layer.axis % x.rank
    size = x.shape[axis]
    if size is None:
        raise Unsupported("repeat along an open axis")
    places = g.constant(np.repeat(np.arange(size, dtype=np.int64), layer.repeats))
    return g.result(x, g.op("Gather", x.value, places, axis=g.axis(x, axis)))


@register_operation("broadcast_to", symbol(2, 1), (2, 2))
def lower_broadcast_to(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Repeated along axes of one place to a shape."""
    shape = g.output_shapes[0]
    # 1 leaves an axis as it is, so an open axis of the tensor itself is copied.
    sizes = _int64(*(1 if size is None else size for size in shape))
    return Tensor(g.op("Expand", g.keras_layout(x).value, sizes), shape)


@register_operation(
    "one_hot",
    symbol(
        2,
    ),
    3,
)
def lower_one_hot(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Numbers of classes as vectors with a single 1."""
    values = as_array([0, 1], g.output_dtypes[0])
    axis = layer.axis if layer.axis is not None else -1
    depth = _int64(layer.num_classes)
    x = g.keras_layout(x)
    # ONNX counts a negative class from the end, where Keras gives zeros.
    return Tensor(
        g.op("OneHot", g.op("Max", cast(g, x, "int64"), _int64(-1)), depth, values, axis=axis),
        g.output_shapes[0],
    )
