"""Linear algebra of small matrices against Keras, and against NumPy in float64."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import UserError
from tests.export.helpers import compare, converted, random_array, run

MATRICES = random_array(30, 4, 4)
IDENTITY: np.ndarray = np.eye(4, dtype="float32")
RIGHT = random_array(30, 4, 2, seed=1)


def positive_definite(x: Any) -> Any:
    return ops.matmul(x, ops.transpose(x, (0, 2, 1))) + IDENTITY


def test_parity() -> None:
    x = keras.Input((4, 4), name="x")
    matrices = positive_definite(x)
    operations = (ops.det, ops.inv, ops.cholesky, ops.logdet)
    converted(keras.Model(x, [operation(matrices) for operation in operations]))


def test_determinants() -> None:
    compare({"det": ops.det}, MATRICES)
    x = keras.Input(batch_shape=(4, 4), name="x")
    converted(keras.Model(x, list(ops.slogdet(x))))


@pytest.mark.parametrize("lower", [False, True])
def test_triangles(lower: bool) -> None:
    functions = {
        "matrix": lambda a, b: ops.solve_triangular(a + 5 * IDENTITY, b, lower=lower),
        "vector": lambda a, b: ops.solve_triangular(a + 5 * IDENTITY, b[..., 0], lower=lower),
    }
    compare(functions, MATRICES, RIGHT)


@pytest.mark.skipif(
    not hasattr(ops, "cholesky_inverse"), reason="this version of Keras has no cholesky_inverse"
)
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky(upper: bool) -> None:
    functions = {
        "factor": lambda x: ops.cholesky(positive_definite(x), upper=upper),
        "inverse": lambda x: ops.cholesky_inverse(
            ops.cholesky(positive_definite(x), upper=upper), upper=upper
        ),
    }
    compare(functions, MATRICES, rtol=1e-4, atol=1e-5)


def test_systems() -> None:
    a, b = keras.Input((4, 4)), keras.Input((4, 2))
    model = keras.Model([a, b], [ops.inv(a), ops.solve(a, b), ops.solve(a, b[..., 0])])
    conversion = convert(model, Options(route="direct"))
    inverse, solution, vector = run(conversion, MATRICES, RIGHT)
    exact: np.ndarray = np.linalg.inv(MATRICES.astype("float64"))
    size = np.linalg.cond(MATRICES)[:, None, None] * abs(exact).max((1, 2), keepdims=True)
    np.testing.assert_allclose(inverse / size, exact / size, rtol=0, atol=1e-6)
    np.testing.assert_allclose(solution / size, exact @ RIGHT / size, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(vector, solution[..., 0])


def test_pivots() -> None:
    matrices = np.array([[[0, 1, 0], [0, 0, 2], [3, 0, 0]], [[1e-20, 1, 0], [1, 1, 0], [0, 0, 1]]], "float32")
    compare({"inv": ops.inv}, matrices)


def test_large_matrices_are_unsupported() -> None:
    x = keras.Input((9, 9))
    with pytest.raises(UserError, match="matrices of 9 x 9 numbers, not square and of at most 8 rows"):
        convert(keras.Model(x, ops.inv(x)), Options(route="direct"))


def test_several_signs_of_determinants_are_unsupported() -> None:
    x = keras.Input((3, 3))
    with pytest.raises(UserError, match="slogdet of several matrices"):
        convert(keras.Model(x, list(ops.slogdet(x))), Options(route="direct"))
