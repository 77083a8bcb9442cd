"""Functions of two tensors that broadcast: powers, extremes, angles, logarithms of sums."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
from keras import ops

from export.lowerings.composition import Symbol, as_float, composed
from export.lowerings.elementwise import arithmetic
from export.lowerings.registry import register_operation

for _name, _op_type in {"power": "Pow", "maximum": "Max", "minimum": "Min"}.items():
    register_operation(_name)(arithmetic(_op_type))


def arctan2(operation: keras.Operation, y: Symbol, x: Symbol) -> Symbol:
    """The angle of the point (x, y). A zero or an infinity on both sides is an angle by its signs."""
    y, x = as_float(y), as_float(x)
    half_turn = ops.where(_signbit(y), -math.pi, math.pi)
    both_infinite = ops.logical_and(ops.isinf(x), ops.isinf(y))
    slope = ops.where(both_infinite, ops.sign(y) * ops.sign(x), y / x)
    slope = ops.where(ops.logical_and(ops.equal(x, 0), ops.equal(y, 0)), y, slope)
    return ops.arctan(slope) + ops.where(_signbit(x), half_turn, 0.0)


def _signbit(x: Symbol) -> Symbol:
    return ops.logical_or(x < 0, ops.reciprocal(x) < 0)


def hypot(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """The root of the sum of squares, scaled so that no square overflows."""
    sizes = ops.abs(as_float(x1)), ops.abs(as_float(x2))
    larger, smaller = ops.maximum(*sizes), ops.minimum(*sizes)
    ratio = ops.where(ops.equal(larger, 0), 0.0, smaller / larger)
    return larger * ops.sqrt(1.0 + ratio * ratio)


def logaddexp(operation: keras.Operation, x1: Symbol, x2: Symbol, base: float = math.e) -> Symbol:
    """The logarithm of base^x1 + base^x2, scaled so that no power overflows."""
    x1, x2 = as_float(x1), as_float(x2)
    difference, unit = x1 - x2, math.log(base)
    excess = ops.softplus(-ops.abs(difference) * unit) / unit
    return ops.where(ops.isnan(difference), x1 + x2, ops.maximum(x1, x2) + excess)


def ldexp(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """x1 * 2^x2."""
    x1 = as_float(x1)
    stays = ops.logical_or(ops.isinf(x1), ops.equal(x1, 0))
    return ops.where(stays, x1, x1 * ops.power(2.0, as_float(x2)))


def heaviside(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """0 for negative x1, 1 for positive x1, x2 otherwise."""
    return ops.where(x1 < 0, 0.0, ops.where(x1 > 0, 1.0, as_float(x2)))


def fmax(
    operation: keras.Operation, x1: Symbol, x2: Symbol, larger: Callable[..., Symbol] = ops.maximum
) -> Symbol:
    """The larger number, or the one that is not NaN."""
    if "float" not in keras.backend.result_type(*(getattr(x, "dtype", type(x)) for x in (x1, x2))):
        return larger(x1, x2)
    return ops.where(ops.isnan(x1), x2, ops.where(ops.isnan(x2), x1, larger(x1, x2)))


COMPOSED: dict[str, Callable[..., Symbol]] = {
    "arctan2": arctan2,
    "fmax": fmax,
    "fmin": lambda operation, x1, x2: fmax(operation, x1, x2, ops.minimum),
    "heaviside": heaviside,
    "hypot": hypot,
    "ldexp": ldexp,
    "logaddexp": logaddexp,
    "logaddexp2": lambda operation, x1, x2: logaddexp(operation, x1, x2, 2.0),
    # Keras computes the neighbour of a float64 and rounds it, which returns to x1.
    "nextafter": lambda _, x1, x2: ops.where(ops.isnan(as_float(x2)), as_float(x2), as_float(x1)),
}
for _name, _function in COMPOSED.items():
    register_operation(_name, optional=True)(composed(_function))
