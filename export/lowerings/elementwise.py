"""Elementwise arithmetic: operations, and the layers that merge tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import keras
import numpy as np

from export.builder import Builder, Shape, Tensor, is_float
from export.lowerings.operands import (
    Argument,
    align,
    arithmetic_dtype,
    as_int64,
    cast,
    from_arithmetic,
    operand_dtype,
)
from export.lowerings.registry import LoweringFunction, register_lowering, register_operation

layers = keras.layers


def elementwise(g: Builder, op_type: str, args: Sequence[Argument], operands: str) -> Tensor:
    """Fold an operator over arguments that broadcast.

    Args:
        g: the builder.
        op_type: a binary operator.
        args: tensors and constants.
        operands: Keras dtype that the arguments are cast to.
    """
    shape = g.output_shapes[0]
    values, first = align(g, args, len(shape), operands)
    return g.tensor(functools.reduce(lambda a, b: g.op(op_type, a, b), values), shape, first)


def fold(g: Builder, op_type: str, args: Sequence[Argument]) -> Tensor:
    """Fold an arithmetic operator over arguments that broadcast, in the dtype of the result."""
    dtype = g.output_dtypes[0]
    result = elementwise(g, op_type, args, arithmetic_dtype(dtype))
    return g.like(result, from_arithmetic(g, result.value, dtype))


def arithmetic(op_type: str) -> LoweringFunction:
    """The lowering of a binary operation as one arithmetic operator."""
    return lambda g, operation, x1, x2: fold(g, op_type, [x1, x2])


# Arithmetic

Map = Callable[[np.ndarray], tuple[np.ndarray | float, np.ndarray | float]]


def _arithmetic(op_type: str, as_map: Map, commutes: bool) -> LoweringFunction:
    """An operator that may be an affine map with a constant, which `fold_affine` can fold.

    Args:
        op_type: the operator.
        as_map: from the constant, scale and shift of the map.
        commutes: whether the constant may be the first operand, too.
    """

    def lower(g: Builder, operation: keras.Operation, x1: Argument, x2: Argument) -> Tensor:
        if commutes and not isinstance(x1, Tensor):
            x1, x2 = x2, x1
        shape = g.output_shapes[0]
        constant = _per_channel(x2, shape)
        is_map = isinstance(x1, Tensor) and x1.shape == shape and len(shape) > 1
        if constant is None or not isinstance(x1, Tensor) or not is_map or not is_float(g.output_dtypes[0]):
            return fold(g, op_type, [x1, x2])
        floats = g.like(x1, cast(g, x1, "float32"), dtype="float32")
        return g.affine(floats, *as_map(constant), axis=-1)

    return lower


def _per_channel(x: Argument, shape: Shape) -> np.ndarray | None:
    """A constant of one number, or of one for each index of the last axis; None for any other argument."""
    if isinstance(x, Tensor) or not shape or shape[-1] is None:
        return None
    array = np.asarray(x, np.float64)
    if array.size == 1 and array.ndim <= len(shape):
        return array.reshape(())
    fits = array.ndim <= len(shape) and array.ndim and array.size == array.shape[-1] == shape[-1]
    return array.reshape(-1) if fits else None


register_operation("add")(_arithmetic("Add", lambda c: (1.0, c), commutes=True))
register_operation("subtract")(_arithmetic("Sub", lambda c: (1.0, -c), commutes=False))
register_operation("multiply")(_arithmetic("Mul", lambda c: (c, 0.0), commutes=True))
register_operation("divide", "true_divide")(_arithmetic("Div", lambda c: (1 / c, 0.0), commutes=False))


def _merging(op_type: str) -> LoweringFunction:
    def lower(g: Builder, layer: keras.layers.Layer, tensors: Sequence[Tensor]) -> Tensor:
        # Keras declares the layer's own dtype, whatever the layer returns for integers.
        dtype = g.output_dtypes[0] if any(is_float(x.dtype) for x in tensors) else operand_dtype(tensors)
        return fold(replace(g, output_dtypes=(dtype,)), op_type, _of_one_rank(g, tensors))

    return lower


def _of_one_rank(g: Builder, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors with axes of size 1 after the batch, so that all have the same rank."""
    rank, same = max(x.rank for x in tensors), []
    for x in tensors:
        added = rank - x.rank
        if added:
            x = g.keras_layout(x)
            shape = (x.shape[0], *[1] * added, *x.shape[1:])
            x = g.tensor(g.op("Unsqueeze", x.value, as_int64(*range(1, 1 + added))), shape, dtype=x.dtype)
        same.append(x)
    return same


_add = _merging("Add")
register_lowering(layers.Add, any_layout=True, own_outputs=True)(_add)
register_lowering(layers.Subtract, any_layout=True, own_outputs=True)(_merging("Sub"))
register_lowering(layers.Multiply, any_layout=True, own_outputs=True)(_merging("Mul"))
register_lowering(layers.Maximum, any_layout=True, own_outputs=True)(_merging("Max"))
register_lowering(layers.Minimum, any_layout=True, own_outputs=True)(_merging("Min"))


@register_lowering(layers.Average, any_layout=True, own_outputs=True)
def lower_average(g: Builder, layer: keras.layers.Average, tensors: Sequence[Tensor]) -> Tensor:
    """Mean of several tensors; of integers in the floating-point type that the backend divides them in."""
    total = _add(g, layer, tensors)
    if is_float(total.dtype):
        return g.like(total, g.op("Mul", total.value, 1 / len(tensors)))
    dtype = "float32" if _divides_in_float32(total.dtype) else "float64"
    return g.like(total, g.op("Mul", cast(g, total, dtype), 1 / len(tensors)), dtype=dtype)


def _divides_in_float32(dtype: str) -> bool:
    """Whether `integers / number` is float32: of 8 and 16 bits for TensorFlow, of all integers elsewhere."""
    return keras.backend.backend() != "tensorflow" or dtype in ("int8", "uint8", "int16", "uint16")
