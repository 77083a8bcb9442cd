"""What was recorded between tensors."""

import keras
import pytest
from keras import ops

from export.errors import Unsupported
from export.recorded import Recorded


def test_nodes_are_in_an_order_in_which_they_can_be_computed() -> None:
    x = keras.Input((4,))
    first, second = (keras.layers.Dense(4, name="dense") for _ in range(2))  # the same name
    y = first(x)
    recorded = Recorded.between([x], [second(y) + y, None])
    assert [node.operation for node in recorded.nodes[:2]] == [first, second]
    assert len(recorded.nodes) == 3


def test_inputs_may_be_what_others_computed() -> None:
    x = keras.Input((4,))
    y = ops.sin(x)
    assert [type(node.operation).__name__ for node in Recorded.between([y], ops.cos(y)).nodes] == ["Cos"]
    assert Recorded.between([x], x).nodes == []


def test_tensor_from_outside() -> None:
    x, other = keras.Input((4,)), keras.Input((4,))
    with pytest.raises(Unsupported, match="a tensor that is computed outside of it"):
        Recorded.between([x], x + other)
