"""keras.ops.image.scale_and_translate: axes resampled with a scale and a translation each."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import Argument
from export.lowerings.registry import register_operation
from export.lowerings.resampling import KERNELS, Value

# Weights whose sum is closer to 0 than this are not normalized.
SMALLEST_SUM = 1000.0 * float(np.finfo(np.float32).eps)


def _weights(
    inputs: int, outputs: int, scale: Value, translation: Value, method: str, antialias: bool
) -> Value:
    """The matrix (inputs, outputs) of an axis."""
    inverse = 1.0 / scale
    places = ops.convert_to_tensor(np.arange(inputs, dtype=np.float32)[:, None])
    steps = ops.convert_to_tensor(np.arange(outputs, dtype=np.float32))
    centers = inverse * (steps + np.float32(0.5)) - ops.multiply(translation, inverse) - 0.5
    width = ops.maximum(inverse, 1.0) if antialias else 1.0
    weights = KERNELS[method](ops.absolute(ops.expand_dims(centers, 0) - places) / width)
    total = ops.sum(weights, axis=0, keepdims=True)
    has_sum = ops.absolute(total) > SMALLEST_SUM
    weights = ops.where(has_sum, weights / ops.where(has_sum, total, 1.0), 0.0)
    inside = ops.logical_and(centers >= -0.5, centers <= inputs - 0.5)
    return ops.where(ops.expand_dims(inside, 0), weights, 0.0)


@register_operation("scale_and_translate", optional=True)
def lower_scale_and_translate(
    g: Builder,
    operation: keras.Operation,
    images: Tensor,
    output_shape: Sequence[int],
    scale: Argument,
    translation: Argument,
) -> Tensor:
    """Each of the axes multiplied by a matrix of weights. The result for integers is rounded."""
    axes = [axis % images.rank for axis in operation.spatial_dims]
    sizes = [images.shape[axis] for axis in axes]
    if None in sizes:
        raise Unsupported("scale_and_translate of images of dynamic size")

    def resampled(x: Value, scale: Value, translation: Value) -> Value:
        result = ops.cast(x, "float32")
        for index, (axis, inputs) in enumerate(zip(axes, sizes, strict=True)):
            matrix = _weights(
                inputs,
                int(output_shape[axis]),
                scale[index],
                translation[index],
                operation.method,
                operation.antialias,
            )
            result = ops.moveaxis(ops.matmul(ops.moveaxis(result, axis, -1), matrix), -1, axis)
        if "int" in images.dtype:
            result = ops.minimum(ops.maximum(ops.round(result), ops.min(x)), ops.max(x))
        return ops.cast(result, images.dtype)

    arguments = [x if isinstance(x, Tensor) else np.asarray(x, np.float32) for x in (scale, translation)]
    result: Tensor = g.lower(resampled, images, *arguments)
    return result
