"""Resampling along an axis: each output is a weighted sum of inputs, so an axis is multiplied by a matrix of weights.

The weights are functions of `keras.ops`. Where the size of the axis is known they are computed right away, and the
matrix is a constant; otherwise the same function is lowered, and the graph computes it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
from keras import ops

from export.builder import Builder, Operand, Tensor
from export.lowerings.operands import as_int64
from export.lowerings.sizes import Size, reshape_to

# A tensor while a function is traced, a number or an array otherwise.
Value = Any


def _triangle(x: Value) -> Value:
    return ops.maximum(1.0 - x, 0.0)


def _keys_cubic(x: Value) -> Value:
    # Keys 1981 with a = -1/2.
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return ops.where(x < 1.0, near, ops.where(x < 2.0, far, 0.0))


def _lanczos(radius: float, x: Value) -> Value:
    # At 0 the formula is 0 / 0; TensorFlow takes 1 up to 1e-3.
    safe = ops.maximum(x, 1e-3)
    y = radius * ops.sin(math.pi * safe) * ops.sin(math.pi / radius * safe) / (math.pi**2 * safe * safe)
    return ops.where(x <= 1e-3, 1.0, ops.where(x > radius, 0.0, y))


# From a distance in pixels to an unnormalized weight.
KERNELS: dict[str, Callable[[Value], Value]] = {
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), _triangle),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _keys_cubic),
    "lanczos3": functools.partial(_lanczos, 3.0),
    "lanczos5": functools.partial(_lanczos, 5.0),
}


@dataclass(frozen=True)
class Axis:
    """The positions along an axis: 0, 1, ... and their number, as float32."""

    places: Value
    number: Value

    @classmethod
    def of(cls, g: Builder, size: Size) -> Axis:
        """The positions of an axis: constants if its size is known, and Tensors otherwise."""
        if isinstance(size, int):
            return cls(np.arange(size, dtype=np.float32), np.float32(size))
        number = g.op("Squeeze", g.op("Cast", size, to=int(ir.DataType.FLOAT)), as_int64(0))
        places = g.op("Range", np.float32(0), number, np.float32(1))
        return cls(g.tensor(places, (None,), dtype="float32"), g.tensor(number, (), dtype="float32"))


def resize_weights(
    places: Value, inputs: Value, steps: Value, outputs: Value, interpolation: str, antialias: bool
) -> Value:
    """The matrix (outputs, inputs) with which TensorFlow resizes an axis.

    Args:
        places: the positions of the inputs.
        inputs: their number.
        steps: the positions of the outputs.
        outputs: their number.
        interpolation: 'area' or a name in `KERNELS`.
        antialias: widen the kernel where the axis shrinks.
    """
    scale, steps = ops.divide(inputs, outputs), ops.expand_dims(steps, 1)
    if interpolation == "area":
        overlap = ops.minimum(scale * (steps + 1.0), places + 1.0) - ops.maximum(scale * steps, places)
        return ops.maximum(overlap, 0.0) / scale
    centers = scale * (steps + 0.5) - 0.5
    if interpolation == "bicubic" and not antialias:
        # TensorFlow looks this kernel up in a table with 1024 steps for a pixel.
        whole = ops.floor(centers)
        centers = whole + ops.round((centers - whole) * 1024.0) / 1024.0
    width = ops.maximum(scale, 1.0) if antialias else 1.0
    weights = KERNELS[interpolation](ops.absolute(centers - places) / width)
    return weights / ops.sum(weights, axis=1, keepdims=True)


def evaluate(g: Builder, function: Callable[..., Value], *args: Value, **options: Value) -> Any:
    """What a function of `keras.ops` computes: arrays, if no argument is a Tensor, and otherwise values."""
    if any(isinstance(x, Tensor) for x in args):
        outputs = g.lower(function, *args, **options)
        return keras.tree.map_structure(
            lambda x: x.value if isinstance(x, Tensor) else np.asarray(x), outputs
        )
    return keras.tree.map_structure(np.asarray, function(*args, **options))


def resize_matrix(g: Builder, inputs: Size, outputs: Size, interpolation: str, antialias: bool) -> Operand:
    """`resize_weights` from one size to another."""
    before, after = Axis.of(g, inputs), Axis.of(g, outputs)
    args = (before.places, before.number, after.places, after.number)
    matrix: Operand = evaluate(g, resize_weights, *args, interpolation=interpolation, antialias=antialias)
    return matrix


def multiply_axis(g: Builder, x: ir.Value, sizes: Sequence[Size], number: int, matrix: Operand) -> ir.Value:
    """Multiply a spatial axis by a matrix (outputs, inputs).

    Args:
        g: the builder.
        x: (N, C, ...).
        sizes: the sizes of its spatial axes.
        number: which of them is multiplied.
        matrix: the matrix.
    """
    following = sizes[number + 1 :]
    if not following:
        if isinstance(matrix, ir.Value):
            return g.op("MatMul", x, g.op("Transpose", matrix, perm=[1, 0]))
        return g.op("MatMul", x, np.asarray(matrix).T)
    if len(following) == 1:
        return g.op("MatMul", matrix, x)
    kept = [0] * (2 + number)
    flat = reshape_to(g, x, [*kept, sizes[number], -1])
    return reshape_to(g, g.op("MatMul", matrix, flat), [*kept, -1, *following])
