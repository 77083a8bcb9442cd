"""Images sampled at transformed coordinates: affine_transform and perspective_transform of keras.ops.image.

Each pixel is a weighted sum of a few pixels of the input. Which ones, and with which weights, are functions of
`keras.ops`; they are constants if the transform is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
from keras import ops

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.keras_values import as_numpy
from export.lowerings.image_layout import as_images, from_images
from export.lowerings.operands import Argument, as_int64, cast
from export.lowerings.registry import register_operation
from export.lowerings.resampling import Value, evaluate
from export.lowerings.sizes import size_vector, sizes_of

# What becomes of a coordinate outside an axis: (coordinate, size) -> coordinate. As TensorFlow computes it.


def _clamp(x: Value, size: int) -> Value:
    return ops.minimum(ops.maximum(x, 0.0), size - 1.0)


def _reflect(x: Value, size: int) -> Value:
    # [a b c d] becomes [d c b a | a b c d | d c b a].
    period = 2.0 * size
    below = ops.floor(-x / period) * period + x
    below = ops.where(below < -size, below + period, -below - 1.0)
    above = x - ops.floor(x / period) * period
    above = ops.where(above >= size, period - above - 1.0, above)
    return _clamp(ops.where(x < 0.0, below, ops.where(x > size - 1.0, above, x)), size)


def _wrap(x: Value, size: int) -> Value:
    # [a b c d] becomes [a b c d | a b c d | a b c d].
    last = max(size - 1.0, 1.0)
    below = x + size * (ops.floor(-x / last) + 1.0)
    above = x - size * ops.floor(x / last)
    return _clamp(ops.where(x < 0.0, below, ops.where(x > size - 1.0, above, x)), size)


FILL_MODES: dict[str, Callable[[Value, int], Value]] = {
    "constant": lambda x, size: x,
    "nearest": _clamp,
    "reflect": _reflect,
    "wrap": _wrap,
}


def _coordinates(transforms: Value, height: int, width: int, fill_mode: str) -> tuple[Value, Value, Value]:
    """Where the pixels come from: x and y, (transforms, height, width), and whether they are finite."""
    rows: np.ndarray = np.arange(height, dtype=np.float32)[:, None]
    columns: np.ndarray = np.arange(width, dtype=np.float32)[None, :]
    a0, a1, a2, b0, b1, b2, c0, c1 = (transforms[:, index, None, None] for index in range(8))
    scale = c0 * columns + c1 * rows + 1.0
    is_finite = ops.not_equal(scale, 0.0)
    scale = ops.where(is_finite, scale, 1.0)
    x = FILL_MODES[fill_mode]((a0 * columns + a1 * rows + a2) / scale, width)
    y = FILL_MODES[fill_mode]((b0 * columns + b1 * rows + b2) / scale, height)
    return x, y, is_finite


def _round(x: Value) -> Value:
    """Rounded, halves away from zero."""
    whole = ops.floor(x)
    rest = x - whole
    return ops.where(ops.logical_or(rest > 0.5, ops.logical_and(rest >= 0.5, x > 0.0)), whole + 1.0, whole)


def _pixels(
    transforms: Value, height: int, width: int, fill_mode: str, interpolation: str
) -> tuple[Value, Value, Value]:
    """The pixels that each output is a sum of.

    Returns:
        Their indices and weights, (transforms, 1, pixels of a sum * height * width), and what the weights lack to 1,
        (transforms, 1, height * width).
    """
    x, y, is_finite = _coordinates(transforms, height, width, fill_mode)
    if interpolation == "nearest":
        corners = [(_round(y), _round(x), 1.0)]
    else:
        left, above = ops.floor(x), ops.floor(y)
        corners = [
            (row, column, of_row * of_column)
            for row, of_row in ((above, above + 1.0 - y), (above + 1.0, y - above))
            for column, of_column in ((left, left + 1.0 - x), (left + 1.0, x - left))
        ]
    indices, weights = [], []
    for row, column, weight in corners:
        inside = ops.logical_and(
            ops.equal(row, _clamp(row, height)), ops.equal(column, _clamp(column, width))
        )
        indices.append(ops.cast(_clamp(row, height) * width + _clamp(column, width), "int64"))
        weights.append(ops.where(ops.logical_and(inside, is_finite), weight, 0.0))
    stacked = ops.stack(weights, axis=1)  # (transforms, pixels of a sum, height, width)
    return (
        ops.reshape(ops.stack(indices, axis=1), (-1, 1, len(corners) * height * width)),
        ops.reshape(stacked, (-1, 1, len(corners) * height * width)),
        ops.reshape(1.0 - ops.sum(stacked, axis=1), (-1, 1, height * width)),
    )


def warp(
    g: Builder,
    images: Tensor,
    transforms: Argument,
    data_format: str | None,
    interpolation: str,
    fill_mode: str,
    fill_value: float,
) -> Tensor:
    """The call's output: images sampled where (transforms, 8) says, as in TensorFlow's ImageProjectiveTransformV3."""
    x = as_images(g, images, data_format)
    height, width = x.shape[1:3]
    if height is None or width is None:
        raise Unsupported("a transform of images of dynamic size")
    shape = transforms.shape if isinstance(transforms, Tensor) else np.shape(transforms)
    given = (
        g.keras_layout(transforms) if isinstance(transforms, Tensor) else np.asarray(transforms, np.float32)
    )
    options = {"height": height, "width": width, "fill_mode": fill_mode, "interpolation": interpolation}
    indices, weights, missing = evaluate(g, _pixels, given, **options)
    flat = g.op("Reshape", cast(g, x, "float32"), as_int64(0, 0, -1))
    if shape[0] == 1:
        chosen = (
            indices.reshape(-1) if isinstance(indices, np.ndarray) else g.op("Reshape", indices, as_int64(-1))
        )
        picked = g.op("Gather", flat, chosen, axis=2)
    else:
        every = size_vector(g, [*sizes_of(g, x)[::3], 1])
        picked = g.op("GatherElements", flat, g.op("Expand", indices, every), axis=2)
    value = g.op("Mul", picked, weights)
    if interpolation != "nearest":
        value = g.reduce("ReduceSum", g.op("Reshape", value, as_int64(0, 0, 4, -1)), [2], keepdims=False)
    if fill_value:
        value = g.op("Add", value, g.op("Mul", missing, np.float32(fill_value)))
    value = g.op("Reshape", value, as_int64(0, 0, height, width))
    result = g.like(x, value, dtype="float32")
    return from_images(g, g.like(x, cast(g, result, images.dtype)), data_format)


@register_operation("affine_transform")
def lower_affine_transform(
    g: Builder, operation: keras.Operation, images: Tensor, transform: Argument
) -> Tensor:
    """keras.ops.image.affine_transform, with one transform, or one for each image."""

    transforms: Argument
    if isinstance(transform, Tensor):
        batch: Tensor = g.lower(lambda x: ops.reshape(ops.cast(x, "float32"), (-1, 8)), transform)
        transforms = replace(batch, shape=(1, 8)) if transform.rank == 1 else batch
    else:
        transforms = np.reshape(transform, (-1, 8))
    mode = operation.interpolation, operation.fill_mode, operation.fill_value
    return warp(g, images, transforms, operation.data_format, *mode)


def homography(start_points: Value, end_points: Value) -> Value:
    """The perspective transforms that map end points back to start points: (N, 4, 2) each, to (N, 8)."""
    rows, targets = [], []
    for corner in range(4):
        start, (x, y) = start_points[:, corner], (end_points[:, corner, axis] for axis in range(2))
        one, zero = ops.ones_like(x), ops.zeros_like(x)
        for axis, point in enumerate(((x, y, one, zero, zero, zero), (zero, zero, zero, x, y, one))):
            from_ = start[:, axis]
            rows.append(ops.stack([*point, -from_ * x, -from_ * y], axis=-1))
            targets.append(from_)
    solution = ops.solve(ops.stack(rows, axis=1), ops.expand_dims(ops.stack(targets, axis=-1), -1))
    return ops.reshape(solution, (-1, 8))


@register_operation("perspective_transform", optional=True)
def lower_perspective_transform(
    g: Builder, operation: keras.Operation, images: Tensor, start_points: Argument, end_points: Argument
) -> Tensor:
    """keras.ops.image.perspective_transform, with one transform, or one for each image."""

    def as_transforms(start: Value, end: Value) -> Value:
        batches = (ops.reshape(ops.cast(points, "float32"), (-1, 4, 2)) for points in (start, end))
        return homography(*batches)

    transforms: Argument
    if isinstance(start_points, Tensor) or isinstance(end_points, Tensor):
        transforms = g.lower(as_transforms, start_points, end_points)
    else:
        transforms = as_numpy(as_transforms(start_points, end_points))
    mode = operation.interpolation, "constant", operation.fill_value
    return warp(g, images, transforms, operation.data_format, *mode)
