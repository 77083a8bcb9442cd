"""Adaptive pooling: maxima and averages over as many windows as the output has positions.

Window i of n along an axis of size m goes from floor(i m / n) to ceil((i + 1) m / n). So windows may overlap, and their
sizes may differ by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import onnx_ir as ir
from keras import ops

from export.builder import Builder, Operand, Tensor
from export.lowerings.convolution import per_axis, spatial_axes_last
from export.lowerings.operands import as_int64
from export.lowerings.registry import LoweringFunction, register_lowering, register_operation
from export.lowerings.resampling import Axis, Value, evaluate, multiply_axis
from export.lowerings.sizes import Size, size_of

# Pools one axis of a value: (builder, value, sizes of its spatial axes, number of the axis, outputs)
PoolAxis = Callable[[Builder, ir.Value, Sequence[Size], int, int], ir.Value]


def window_bounds(inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of each window."""
    steps = np.arange(outputs)
    return steps * inputs // outputs, -(-(steps + 1) * inputs // outputs)


def _in_window(places: Value, inputs: Value, steps: Value, outputs: Value) -> Value:
    """Whether each window (rows) holds each position (columns)."""
    steps = ops.expand_dims(steps, 1)
    starts, ends = ops.floor(steps * inputs / outputs), ops.ceil((steps + 1.0) * inputs / outputs)
    return ops.logical_and(places >= starts, places < ends)


def _window_weights(places: Value, inputs: Value, steps: Value, outputs: Value) -> Value:
    """The matrix (outputs, inputs) that computes the averages."""
    inside = ops.cast(_in_window(places, inputs, steps, outputs), "float32")
    return inside / ops.sum(inside, axis=1, keepdims=True)


def _of_axis(g: Builder, function: Value, inputs: Size, outputs: int) -> Operand:
    before, after = Axis.of(g, inputs), Axis.of(g, outputs)
    result: Operand = evaluate(g, function, before.places, before.number, after.places, after.number)
    return result


def _average(g: Builder, x: ir.Value, sizes: Sequence[Size], number: int, outputs: int) -> ir.Value:
    return multiply_axis(g, x, sizes, number, _of_axis(g, _window_weights, sizes[number], outputs))


def _maximum(g: Builder, x: ir.Value, sizes: Sequence[Size], number: int, outputs: int) -> ir.Value:
    axis, inputs = 2 + number, sizes[number]
    if isinstance(inputs, int):
        starts, ends = window_bounds(inputs, outputs)
        places = starts[:, None] + np.arange((ends - starts).max())
        windows = g.op("Gather", x, np.minimum(places, ends[:, None] - 1), axis=axis)
    else:
        following = range(2, 2 + len(sizes) - number - 1)
        inside = g.op("Unsqueeze", _of_axis(g, _in_window, inputs, outputs), as_int64(*following))
        windows = g.op("Where", inside, g.op("Unsqueeze", x, as_int64(axis)), np.float32(-np.inf))
    return g.reduce("ReduceMax", windows, [axis + 1], keepdims=False)


def _adaptive_pooling(op_type: str, pool_axis: PoolAxis) -> LoweringFunction:
    def lower(g: Builder, layer: keras.Operation, inputs: Tensor) -> Tensor:
        x = spatial_axes_last(g, inputs, layer.data_format)
        rank, first = x.rank - 2, 1 if x.channels_first else 2
        outputs = per_axis(layer.output_size, rank)
        sizes = [size_of(g, x, first + number) for number in range(rank)]
        # Along an axis where the windows don't overlap, it is an ordinary pool.
        windows = [
            size // wanted if isinstance(size, int) and size % wanted == 0 else 1
            for size, wanted in zip(sizes, outputs, strict=True)
        ]
        value = x.value
        if any(window > 1 for window in windows):
            value = g.op(op_type, value, kernel_shape=windows, strides=windows)
            sizes = [
                size if window == 1 else wanted
                for size, window, wanted in zip(sizes, windows, outputs, strict=True)
            ]
        for number, wanted in enumerate(outputs):
            if sizes[number] != wanted:
                value = pool_axis(g, value, sizes, number, wanted)
                sizes[number] = wanted
        return g.result(value, x)

    return lower


for _kind, _pool_axis in (("Average", _average), ("Max", _maximum)):
    _lower = _adaptive_pooling(f"{_kind}Pool", _pool_axis)
    register_operation(f"adaptive_{_kind.lower()}_pool", optional=True)(_lower)
    # Keras' operation declares a wrong shape for images with the channels last, so the layers are not traced.
    _names = [f"Adaptive{_kind}Pooling{rank}D" for rank in (1, 2, 3)]
    _layers = [getattr(keras.layers, name) for name in _names if hasattr(keras.layers, name)]
    register_lowering(*_layers, any_layout=True)(_lower)
