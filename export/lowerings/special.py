"""Special functions that ONNX has no operator for, exact to a few units in the last place of float32.

They are made of polynomials, as in the libraries that Keras calls. The coefficients are of least-squares fits to the
functions in float64, with relative errors below 1e-7; they come with the lowest power first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

from export.lowerings.composition import Symbol, as_float, composed
from export.lowerings.registry import register_operation

# exp(x^2) erfc(x) for x from 0.5 to 10.2, in 2 / (2 + x).
ERFC = (
    *(3.8947528e-06, 0.28197524, 0.28369787, 0.23448195, 0.23673168),
    *(-0.11138175, 0.41166195, -0.6163305, 0.35433164, -0.07518138),
)
# erfinv(x) / x with w = -log(1 - x^2), in w - 2.5 for w below 5, and in sqrt(w) - 3 from there on.
ERFINV_CENTER = (
    *(1.5014094, 0.24664028, -0.0041773883, -0.0012527253, 0.00021834589),
    *(-4.9730697e-06, -3.463093e-06, 4.6826696e-07, 2.3264799e-08, -8.941414e-09),
)
ERFINV_TAIL = (
    *(2.8329768, 1.0016749, 0.0094453292, -0.0076368041, 0.0056867246),
    *(-0.003599182, 0.0014856714, -5.457244e-05, -0.00031008208, 0.00011497257),
)
# I0(x) = sum of (x/2)^2k / k!^2, and exp(-x) sqrt(x) I0(x) for x of 8 and more, in 8 / x.
I0_SERIES = tuple(1 / math.factorial(k) ** 2 for k in range(17))
I0_TAIL = (
    0.3989423,
    0.0062332801,
    0.00043996971,
    5.0166156e-05,
    2.5556908e-05,
    -1.2980685e-05,
    8.0614855e-06,
)


def polynomial(x: Symbol, coefficients: Sequence[float]) -> Symbol:
    """The value of a polynomial, by Horner's rule."""
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def erfc(operation: keras.Operation, x: Symbol) -> Symbol:
    """1 - erf(x), of which a polynomial keeps the digits for large x."""
    x = as_float(x)
    clipped = ops.clip(x, 0.5, 15.0)
    # exp(-x^2) in two parts, since x^2 is rounded: the square of the first 11 bits of x is not.
    head = ops.floor(clipped * 128.0) / 128.0
    power = ops.exp(-head * head) * ops.exp((head - clipped) * (head + clipped))
    tail = power * polynomial(2.0 / (2.0 + clipped), ERFC)
    return ops.where(x < 0.5, 1.0 - ops.erf(x), ops.where(ops.isnan(x), x, tail))


def erfinv(operation: keras.Operation, x: Symbol) -> Symbol:
    """The inverse of erf, as in Giles 2012, "Approximating the erfinv function"."""
    x = as_float(x)
    w = -ops.log((1.0 - x) * (1.0 + x))
    tail = polynomial(ops.sqrt(ops.maximum(w, 5.0)) - 3.0, ERFINV_TAIL)
    ratio = ops.where(w < 5.0, polynomial(w - 2.5, ERFINV_CENTER), tail)
    return ops.where(ops.equal(ops.abs(x), 1.0), x * math.inf, x * ratio)


def i0(operation: keras.Operation, x: Symbol) -> Symbol:
    """The modified Bessel function of the first kind of order 0."""
    size = ops.abs(as_float(x))
    small, large = ops.minimum(size, 8.0), ops.maximum(size, 8.0)
    root = ops.exp(0.5 * large)  # exp(x) overflows before I0 does
    tail = root * (root * polynomial(8.0 / large, I0_TAIL) * ops.rsqrt(large))
    return ops.where(size < 8.0, polynomial(0.25 * small * small, I0_SERIES), tail)


register_operation("erfc", optional=True)(composed(erfc))
register_operation("erfinv")(composed(erfinv))
register_operation("i0", optional=True)(composed(i0))
