"""Variables, constants and backends defer to symbolic tensors within the contexts, and only there."""

import operator
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from keras.src.utils.backend_utils import DynamicBackend

from export.deferring import (
    backends_are_operations,
    class_of_constants,
    constants_defer_to_symbols,
    jax_defers_to_symbols,
)

OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.matmul,
    operator.lt,
    operator.ge,
]
NUMBERS = np.arange(1.0, 5.0, dtype="float32").reshape(2, 2)


@pytest.mark.parametrize("calculate", OPERATORS, ids=lambda x: x.__name__)
@pytest.mark.parametrize("make", [keras.Variable, ops.convert_to_tensor], ids=["variable", "constant"])
def test_constant_on_the_left(calculate: Callable[[Any, Any], Any], make: Callable[[Any], Any]) -> None:
    symbol = keras.Input(batch_shape=(2, 2))
    with constants_defer_to_symbols():
        output = calculate(make(NUMBERS), symbol)
    assert isinstance(output, keras.KerasTensor)
    x = NUMBERS.T + 0.5
    np.testing.assert_allclose(keras.Function(symbol, output)(x), calculate(NUMBERS, x), rtol=1e-6, atol=0)


def test_operators_are_restored() -> None:
    kinds = (keras.Variable, class_of_constants())
    before = [(kind.__mul__, kind.__lt__) for kind in kinds]
    with constants_defer_to_symbols():
        np.testing.assert_array_equal(keras.Variable(NUMBERS) * 2.0, 2 * NUMBERS)
    assert [(kind.__mul__, kind.__lt__) for kind in kinds] == before


def test_backend_of_preprocessing_layers() -> None:
    own = DynamicBackend().numpy
    with backends_are_operations():
        assert DynamicBackend().numpy is ops
        assert DynamicBackend().random is keras.random
        assert DynamicBackend().cast is ops.cast
    assert DynamicBackend().numpy is own


def test_nothing_changes_for_other_backends_than_jax() -> None:
    before = dict(vars(keras.KerasTensor))
    with jax_defers_to_symbols():
        if keras.backend.backend() != "jax":
            assert dict(vars(keras.KerasTensor)) == before
    assert dict(vars(keras.KerasTensor)) == before
