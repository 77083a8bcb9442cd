"""Layers that Keras can't record, called within a layer's call while it is traced."""

from typing import Any

import keras
import numpy as np
import pytest

from export.builder import Builder, Tensor
from export.errors import UserError
from export.lowerings import Registry
from export.symbolic_calls import inlined_calls
from tests.export.helpers import converted, kinds, random_array, run
from tests.export.test_dynamic_sizes import Custom


class Cached(keras.layers.MultiHeadAttention):
    """Takes an argument that the `compute_output_spec` which it inherits doesn't know."""

    def call(self, query: Any, value: Any, cache: Any = None, training: bool = False) -> Any:
        output = super().call(query, value)
        return output if cache is None else (output, cache)


class WithScores(keras.layers.Layer):
    """Returns None besides a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(4)

    def build(self, shape: Any, other: Any = None) -> None:
        self.dense.build(shape)

    def call(self, x: Any, y: Any) -> Any:
        return self.dense(x) + y, None


class Rotate(keras.layers.Layer):
    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def call(self, x: Any) -> Any:
        return x[..., ::-1]


class RotateBoth(Rotate):
    """Returns other outputs than the class whose `compute_output_shape` it inherits."""

    def build(self, shape: Any, other: Any = None) -> None:
        self.built = True

    def call(self, x: Any, y: Any = None) -> Any:
        return x[..., ::-1] + y, y


class Block(keras.layers.Layer):
    """Calls a layer twice, and one that it shares with it."""

    def __init__(self, layer: keras.Layer) -> None:
        super().__init__()
        self.layer, self.dense = layer, keras.layers.Dense(4)

    def build(self, shape: Any) -> None:
        self.layer.build(shape, shape)
        self.dense.build(shape)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape

    def call(self, x: Any) -> Any:
        y = self.dense(x)
        return self.dense(self.called(self.called(y, y), x))

    def called(self, *args: Any) -> Any:
        if isinstance(self.layer, Cached):
            return self.layer(*args, cache=None)
        return self.layer(*args)[0]


@pytest.mark.parametrize(
    "inner", [Cached(2, 3), WithScores(), RotateBoth()], ids=["other arguments", "None", "other outputs"]
)
def test_layers_that_keras_cannot_record(inner: keras.Layer) -> None:
    x = keras.Input((None, 4), name="x")
    block = Block(inner)
    model = keras.Model(x, block(x))
    array = random_array(3, 5, 4)
    (got,) = run(converted(model), array)
    np.testing.assert_allclose(got, model(array), rtol=1e-5, atol=1e-6)
    assert inner._inbound_nodes == block.dense._inbound_nodes == []  # nothing is left of the trace


def test_call_that_fails_tells_its_own_reason() -> None:
    class Odd(Block):
        def call(self, x: Any) -> Any:
            return self.layer(x, x, cache=x.size)

    x = keras.Input((5, 4), name="x")
    with pytest.raises(UserError, match=r"'KerasTensor' object has no attribute 'size' .*add a lowering"):
        converted(keras.Model(x, Odd(Cached(2, 3))(x)))


def test_calls_are_restored() -> None:
    original = keras.Layer.symbolic_call
    with inlined_calls(lambda layer: layer.call):
        assert keras.Layer.symbolic_call is not original
    assert keras.Layer.symbolic_call is original


def test_layer_that_inherits_right_outputs_keeps_its_lowering() -> None:
    class Twice(Rotate):
        def call(self, x: Any) -> Any:
            return x * 2.0

    mine = Registry()

    @mine.register_lowering(Twice)
    def lower(g: Builder, layer: Twice, x: Tensor) -> Tensor:
        return g.result(g.op("Sum", x.value, x.value))

    x = keras.Input((4,), name="x")
    twice = Twice()
    conversion = converted(keras.Model(x, Custom(lambda layer, x: twice(x) + 1.0)(x)), lowerings=mine)
    assert kinds(conversion)[0] == "Sum"
