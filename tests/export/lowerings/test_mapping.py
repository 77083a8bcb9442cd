"""A function applied to each row."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import ops

from tests.export.helpers import converted
from tests.export.test_dynamic_sizes import Custom


def selected(elements: Any) -> Any:
    """The rows of a table that are largest in another one."""
    table, scores = elements
    return ops.take(table, ops.top_k(scores, 2)[1], axis=0)


@pytest.mark.parametrize(
    "function",
    [
        lambda layer, x: ops.map(lambda row: ops.max(row, axis=0), x),
        lambda layer, x: ops.vectorized_map(lambda row: row * 2.0 + layer.table[0, :1], x),
        lambda layer, x: ops.map(lambda i: ops.cast(i, "float32"), ops.argmax(x[:, 0], axis=1)),
        lambda layer, x: ops.map(lambda both: (both[0] * 2.0, both[1] > 0), (x, x[:, 0]))[1],
        lambda layer, x: ops.map(selected, (x, ops.max(x, axis=-1))),
        lambda layer, x: ops.map(lambda image: image[::-1], layer.dense(x)),
    ],
    ids=["rows", "weights", "scalars", "several", "batched gather", "channels"],
)
def test_map(function: Callable[[Any, Any], Any]) -> None:
    x = keras.Input((7, 6), name="x")
    layer = Custom(function)
    layer.dense = keras.layers.Conv1D(4, 1)
    layer.dense.build((None, 7, 6))
    conversion = converted(keras.Model(x, layer(x)))
    assert sum(node.op_type == "Scan" for node in conversion.model.graph.node) == 1
