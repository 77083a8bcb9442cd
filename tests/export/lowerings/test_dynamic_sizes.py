"""What is computed with dynamic sizes, operation by operation; `tests/export/test_dynamic_sizes.py` has layers."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import ops

from tests.export.helpers import converted

CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "reshape": lambda x, batch, length: ops.reshape(x, (batch, length * 2, 2)),
    "broadcast_to": lambda x, batch, length: x + ops.broadcast_to(ops.ones((1, 1, 4)), (batch, length, 4)),
    "tile": lambda x, batch, length: ops.tile(x[:, :1], (1, length, 1)),
    "arange": lambda x, batch, length: x + ops.cast(ops.arange(length), "float32")[:, None],
    "get_item": lambda x, batch, length: x[:, : length // 2 + 1],
    "zeros": lambda x, batch, length: ops.concatenate([x, ops.zeros((batch, length, 2))], axis=-1),
    "ones": lambda x, batch, length: x * ops.ones((batch, length, 1)),
    "arithmetic": lambda x, batch, length: x * ops.cast(length, "float32") / ops.cast(batch + 1, "float32"),
}


@pytest.mark.parametrize("name", CASES)
def test_operations(name: str) -> None:
    class Layer(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return CASES[name](x, *ops.shape(x)[:2])

    x = keras.Input((None, 4), name="x")
    converted(keras.Model(x, Layer()(x)))
