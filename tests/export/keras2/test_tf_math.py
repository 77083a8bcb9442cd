"""Functions of TensorFlow that calculate, against TensorFlow's own; all of them are in test_tf_functions.py."""

from typing import Any

import keras
import numpy as np
import pytest

from export.keras2.tf_math import MATH, axes_of, like
from tests.export.helpers import random_array

tf = pytest.importorskip("tensorflow")
X, Y = random_array(3, 4), random_array(3, 4, seed=1)

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("math.reduce_sum", (X,), {"axis": [0, 1], "keepdims": True}),
    ("math.reduce_variance", (X,), {"axis": 1}),
    ("math.argmax", (X,), {"axis": 1, "output_type": "int32"}),
    ("math.floormod", (X, Y), {}),
    ("math.truediv", (X, [1.0, 2.0, 4.0, 8.0]), {}),
    ("clip_by_value", (X, -0.5, 0.5), {}),
    ("norm", (X,), {"axis": 1, "keepdims": True}),
    ("math.l2_normalize", (X,), {"axis": -1}),
    ("linalg.matmul", (X, Y), {"transpose_b": True}),
    ("tensordot", (X, Y), {"axes": [[1], [1]]}),
    ("nn.leaky_relu", (X,), {}),
    ("nn.gelu", (X,), {"approximate": True}),
    ("nn.silu", (X,), {"beta": 1.5}),
    ("nn.batch_normalization", (X, Y[0], Y[1] ** 2, Y[2], None, 1e-3), {}),
]


def of_tensorflow(name: str) -> Any:
    function = tf
    for part in name.split("."):
        function = getattr(function, part)
    return function


@pytest.mark.parametrize(("name", "arguments", "named"), CASES, ids=[case[0] for case in CASES])
def test_equals_tensorflow(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    expected = of_tensorflow(name)(*arguments, **named)
    got = MATH[name](*(keras.ops.convert_to_tensor(x) if x is X else x for x in arguments), **named)
    assert keras.ops.convert_to_numpy(got).dtype == expected.numpy().dtype
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_constants_have_the_dtype_of_the_tensor() -> None:
    assert like([1, 2], np.ones(2, np.float16)).dtype == np.float16
    assert like(3, X) == 3
    assert axes_of([0, 1]) == (0, 1)
    assert axes_of(None) is None


@pytest.mark.parametrize(
    ("name", "named", "message"),
    [
        ("math.cumsum", {"exclusive": True}, "with exclusive or reverse"),
        ("norm", {"ord": 1}, "with ord=1"),
        ("math.reduce_mean", {}, "of whole numbers, which TensorFlow rounds"),
    ],
)
def test_other_arguments_are_errors(name: str, named: dict[str, Any], message: str) -> None:
    x = keras.ops.convert_to_tensor(np.arange(4) if name == "math.reduce_mean" else X)
    with pytest.raises(ValueError, match=message):
        MATH[name](x, **named)
