"""Special functions against Keras, and their rounding errors."""

import math
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from tests.export.helpers import compare, converted, operations, run

NAMES = [name for name in ("erfc", "erfinv", "i0") if hasattr(ops, name)]


def _i0(x: float) -> float:
    """The mean of exp(x cos t) from 0 to pi; the trapezoidal rule is exact for it."""
    values = np.exp(x * np.cos(np.linspace(0, math.pi, 2001)))
    return float(values[1:-1].sum() + (values[0] + values[-1]) / 2) / 2000


def _erfinv(x: float) -> float:
    """By Newton's method on erf, or on erfc near 1."""
    sign, x = math.copysign(1, x), abs(x)
    y = 0.0 if x < 0.7 else math.sqrt(-math.log(1 - x))
    for _ in range(60):
        excess = math.erf(y) - x if x < 0.7 else (1 - x) - math.erfc(y)
        y -= excess * math.sqrt(math.pi) / 2 * math.exp(y * y)
    return sign * y


EXACT: dict[str, tuple[Callable[[float], float], np.ndarray]] = {
    "erfc": (math.erfc, np.linspace(-5, 9.1, 1500)),
    "erfinv": (_erfinv, np.append(np.linspace(-0.9999, 0.9999, 1000), 1 - 2.0 ** -np.arange(5, 25))),
    "i0": (_i0, np.linspace(-90, 90, 1500)),
}


@pytest.mark.parametrize("name", NAMES)
def test_relative_errors_are_a_few_units_in_the_last_place(name: str) -> None:
    function, numbers = EXACT[name]
    x = numbers.astype("float32").reshape(1, -1)
    inputs = keras.Input(x.shape[1:])
    conversion = convert(keras.Model(inputs, getattr(ops, name)(inputs)), Options(route="direct"))
    exact = [[function(float(number)) for number in x[0]]]
    np.testing.assert_allclose(run(conversion, x)[0], exact, rtol=1e-6, atol=0)


def test_special_values() -> None:
    x = np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1.5, 20.0, -20.0, 200.0]], "float32")
    compare(operations(NAMES), x)


def test_parity() -> None:
    x = keras.Input((5,), name="x")
    converted(keras.Model(x, [ops.erfinv(ops.tanh(x)), *(getattr(ops, name)(x) for name in NAMES[::2])]))
