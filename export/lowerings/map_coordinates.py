"""keras.ops.image.map_coordinates: a tensor sampled at coordinates."""

from __future__ import annotations

import itertools
import math

import keras
import numpy as np
from keras import ops

from export.builder import Builder, Tensor, is_float
from export.errors import Unsupported
from export.lowerings.operands import Argument, as_array, as_int64, cast
from export.lowerings.registry import register_operation
from export.lowerings.resampling import Value, evaluate


def _place(index: Value, size: int, fill_mode: str) -> tuple[Value, Value]:
    """An index along an axis, brought into it as Keras does, and whether it was there."""
    inside = ops.logical_and(index >= 0.0, index < size)
    if fill_mode in ("constant", "nearest"):
        return ops.clip(index, 0.0, size - 1.0), inside
    if fill_mode == "wrap":
        return index - size * ops.floor(index / size), inside
    period = 2.0 * size
    index = ops.absolute(index)
    index = index - period * ops.floor(index / period)
    beyond = period - index - (1.0 if fill_mode == "reflect" else 0.0)
    return ops.where(index < size, index, beyond), inside


def _elements(
    coordinates: Value, shape: tuple[int, ...], order: int, fill_mode: str
) -> tuple[Value, Value, Value]:
    """The elements that each output is a sum of: their flat indices, their weights, and whether they are inside."""
    axes = []
    for axis, size in enumerate(shape):
        x = coordinates[axis]
        lower = ops.round(x) if order == 0 else ops.floor(x)
        neighbors = (
            [(lower, ops.ones_like(x))]
            if order == 0
            else [(lower, 1.0 - (x - lower)), (lower + 1.0, x - lower)]
        )
        stride = math.prod(shape[axis + 1 :])
        axes.append([(*_place(index, size, fill_mode), weight, stride) for index, weight in neighbors])
    indices, weights, inside = [], [], []
    for corner in itertools.product(*axes):
        indices.append(sum(place * float(stride) for place, _, _, stride in corner))
        product, valid = corner[0][2], corner[0][1]
        for _, is_inside, weight, _ in corner[1:]:
            product, valid = product * weight, ops.logical_and(valid, is_inside)
        weights.append(product)
        inside.append(valid)
    return ops.cast(ops.stack(indices), "int64"), ops.stack(weights), ops.stack(inside)


@register_operation("map_coordinates")
def lower_map_coordinates(
    g: Builder, operation: keras.Operation, inputs: Tensor, coordinates: Argument
) -> Tensor:
    """Elements at coordinates (axes, ...), rounded or interpolated linearly. The result for integers is rounded."""
    shape = [size for size in inputs.shape if size is not None]
    if len(shape) < inputs.rank:
        raise Unsupported(f"map_coordinates of a tensor of dynamic size (shape {inputs.shape})")
    given: Argument
    if isinstance(coordinates, Tensor):
        given = g.like(coordinates, cast(g, coordinates, "float32"), dtype="float32")
    else:
        given = np.asarray(coordinates, np.float32)
    options = {"shape": tuple(shape), "order": operation.order, "fill_mode": operation.fill_mode}
    indices, weights, inside = evaluate(g, _elements, given, **options)
    values = g.op("Reshape", cast(g, g.keras_layout(inputs), "float32"), as_int64(-1))
    values = g.op("Gather", values, indices)
    if operation.fill_mode == "constant":
        values = g.op("Where", inside, values, as_array(operation.fill_value, "float32"))
    value = g.reduce("ReduceSum", g.op("Mul", values, weights), [0], keepdims=False)
    if not is_float(inputs.dtype):
        value = g.op("Round", value)
    result = g.tensor(value, g.output_shapes[0], dtype="float32")
    return g.result(cast(g, result, inputs.dtype))
