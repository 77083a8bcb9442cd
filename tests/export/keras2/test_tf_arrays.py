"""Functions of TensorFlow that make, join, split and index tensors, against TensorFlow's own."""

from typing import Any

import keras
import numpy as np
import pytest

from export.keras2.tf_arrays import ARRAYS
from tests.export.helpers import random_array

tf = pytest.importorskip("tensorflow")
X = random_array(3, 4)

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("transpose", (X,), {"perm": [1, 0]}),
    ("reshape", (X, [2, -1]), {}),
    ("expand_dims", (X,), {"axis": 1}),
    ("concat", ([X, X],), {"axis": 1}),
    ("stack", ([X, X],), {"axis": -1}),
    ("split", (X, [1, -1, 1]), {"axis": 1}),
    ("split", (X, 2), {"axis": 1}),
    ("unstack", (X,), {"axis": 1}),
    ("tile", (X, [2, 3]), {}),
    ("roll", (X, 1), {"axis": 1}),
    ("reverse", (X, [1]), {}),
    ("pad", (X, [[1, 0], [0, 2]]), {}),
    ("gather", (X, [2, 0]), {"axis": 1}),
    ("one_hot", ([1, 3], 4), {}),
    ("range", (1, 7, 2), {}),
    ("fill", ([2, 3], 5.0), {}),
    ("ones_like", (X,), {}),
    ("math.top_k", (X, 2), {}),
]


@pytest.mark.parametrize(("name", "arguments", "named"), CASES, ids=[case[0] for case in CASES])
def test_equals_tensorflow(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    function = tf
    for part in name.split("."):
        function = getattr(function, part)
    expected = keras.tree.flatten(
        list(function(*arguments, **named)) if name == "math.top_k" else function(*arguments, **named)
    )
    tensors = [keras.ops.convert_to_tensor(x) if x is X else x for x in arguments]
    got = keras.tree.flatten(ARRAYS[name](*tensors, **named))
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_squeeze_needs_an_axis() -> None:
    with pytest.raises(ValueError, match="without an axis"):
        ARRAYS["squeeze"](keras.ops.ones((1, 2)))
