"""Functions of one tensor against Keras, and their rounding errors."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import UserError
from export.lowerings.unary import COMPOSED, OPERATORS
from tests.export.helpers import check_operation, compare, converted, in_either_layout, run

L = keras.layers

NAMES = [name for name in (*OPERATORS, *COMPOSED, "square", "round") if hasattr(ops, name)]
POSITIVE = ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal")
DOMAINS = {
    (0.1, 3.0): POSITIVE,
    (-0.95, 0.95): ("arcsin", "arccos", "arctanh"),
    (1.1, 3.0): ("arccosh",),
    (-2.0, 2.0): tuple(
        name for name in NAMES if name not in (*POSITIVE, "arcsin", "arccos", "arctanh", "arccosh")
    ),
}
SPECIAL = np.array(
    [
        [
            np.nan,
            np.inf,
            -np.inf,
            0.0,
            -0.0,
            1e-30,
            -3e38,
            0.5,
            1.5,
            2.5,
            -2.5,
            30,
            -30,
            88,
            -88,
            120,
            -120,
            1e-6,
        ]
    ],
    "float32",
)


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_functions(domain: tuple[float, float]) -> None:
    x = keras.Input((5,), name="x")
    converted(keras.Model(x, [getattr(ops, name)(x) for name in DOMAINS[domain]]), input_range=domain)


def test_special_values() -> None:
    compare({name: getattr(ops, name) for name in NAMES}, SPECIAL)
    compare({"round": lambda x: ops.round(x, 2), "clip": lambda x: ops.clip(x, 5.0, 1.0)}, SPECIAL)
    compare({"nan_to_num": lambda x: ops.nan_to_num(x, nan=1.0, posinf=2.0, neginf=-2.0)}, SPECIAL)


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_integers(dtype: str) -> None:
    x = np.array([[-7, -1, 0, 1, 2, 3, 250, 100_000]]).astype(dtype)
    floats_only = {"erf", "reciprocal", "rsqrt", "stop_gradient", "conj", "conjugate", "real", "imag"}
    if dtype == "bool":
        floats_only |= {"negative", "sign", "nan_to_num", "round"}
    names = [name for name in NAMES if name not in floats_only]
    compare({name: getattr(ops, name) for name in names}, x, rtol=2e-5)


def test_options() -> None:
    x = np.array([[-340, -129, -1, 0, 127, 250]], "int32")
    compare({"round": lambda x: ops.round(x, -2), "clip": lambda x: ops.clip(x, -2, 130)}, x)


ACCURATE: dict[str, Any] = {
    **{"expm1": np.expm1, "log1p": np.log1p, "sinh": np.sinh, "tanh": np.tanh, "arcsinh": np.arcsinh},
    **{"cbrt": np.cbrt, "exp2": np.exp2, "arctan": np.arctan, "cosh": np.cosh, "sinc": np.sinc},
}


@pytest.mark.skipif(not hasattr(ops, "cbrt"), reason="this version of Keras has not all of them")
def test_relative_errors_are_a_few_units_in_the_last_place() -> None:
    rng = np.random.default_rng(0)
    small = 10.0 ** rng.uniform(-12, 0, (1, 2000)) * rng.choice([-1, 1], (1, 2000)) * 0.99
    x: np.ndarray = np.concatenate([small, rng.uniform(-0.99, 10, (1, 2000))], 1).astype("float32")
    inputs = keras.Input((x.shape[1],), name="x")
    model = keras.Model(inputs, [getattr(ops, name)(inputs) for name in ACCURATE])
    conversion = convert(model, Options(route="direct"))
    for name, got in zip(ACCURATE, run(conversion, x), strict=True):
        atol = 1e-7 if name == "sinc" else 0  # it has zeros within
        np.testing.assert_allclose(
            got, ACCURATE[name](x.astype("float64")), rtol=1e-6, atol=atol, err_msg=name
        )


CASES = {
    "operators": lambda x: ops.exp(x) + ops.sqrt(ops.abs(x)) + ops.log(ops.abs(x) + 1) - ops.negative(x),
    "composed": lambda x: ops.log1p(ops.abs(x)) + ops.expm1(x) + ops.round(x, 1),
    "clip": lambda x: ops.clip(x, -0.5, 0.25) + ops.clip(x, [-1, -2, -1, 0], 1),
    "identity": lambda x: L.ActivityRegularization(0.1)(ops.stop_gradient(x)),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


def test_function_of_integers_that_keras_has_not_is_unsupported() -> None:
    x = keras.Input((4,), dtype="int32")
    with pytest.raises(UserError, match="numbers of dtype int32; cast them to float32"):
        convert(keras.Model(x, ops.erf(x)), Options(route="direct"))
