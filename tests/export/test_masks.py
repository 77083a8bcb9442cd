"""Masks are carried through a model as Keras carries them."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.builder import Builder, Tensor
from export.convert import Options, convert
from export.lowerings import Registry
from export.parity import check_parity
from tests.export.helpers import converted, kinds, randomize

L = keras.layers
NUMBERS = np.array([[1, 2, 0, 0, 3, 0], [0, 0, 4, 1, 1, 2], [5, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 1]], np.int32)
IS_WORD = np.array([[1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]], bool)


def ids() -> Any:
    return keras.Input((6,), dtype="int32", name="ids")


def words(x: Any) -> Any:
    return L.Embedding(6, 4, mask_zero=True)(x)


def pooled(x: Any) -> Any:
    """Mean over the positions that the mask leaves, which tells whether there is one."""
    return L.GlobalAveragePooling1D()(x)


class Own(keras.layers.Layer):
    """A custom layer in which one layer makes a mask and the next takes it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = L.Embedding(6, 4, mask_zero=True)
        self.pool = L.GlobalAveragePooling1D()

    def call(self, x: Any) -> Any:
        return self.pool(self.words(x))


class Shifted(keras.layers.Layer):
    """A custom layer with a mask rule of its own, which passes on what `call` attaches."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x: Any, mask: Any = None) -> Any:
        return x * ops.expand_dims(ops.cast(mask, x.dtype), -1) + 1

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return ops.flip(mask, axis=1)


def nested(*shapes: tuple[int, ...]) -> keras.Model:
    tensors = [keras.Input(shape) for shape in shapes]
    outputs = [L.Dropout(0.1)(L.Dense(4)(x)) for x in tensors]
    return keras.Model(tensors, outputs[0] if len(outputs) == 1 else L.Add()(outputs))


CASES = {
    "no layer uses it": lambda x: L.Dense(2)(words(x)),
    "pooling": lambda x: pooled(words(x)),
    "passed on by Dense and Dropout": lambda x: pooled(L.Dropout(0.1)(L.Dense(3)(words(x)))),
    "dropped by Conv1D": lambda x: pooled(L.Conv1D(4, 3, padding="same")(words(x))),
    "dropped by an operation": lambda x: pooled(words(x) + 1),
    "BatchNormalization": lambda x: pooled(L.BatchNormalization()(words(x))),
    "Add": lambda x: pooled(L.Add()([words(x), L.Dense(4)(words(x))])),
    "Add of one masked tensor": lambda x: pooled(L.Add()([words(x), L.Embedding(6, 4)(x)])),
    "nested model": lambda x: pooled(nested((6, 4))(words(x))),
    "nested model of two inputs": lambda x: pooled(nested((6, 4), (6, 4))([words(x), words(x)])),
    "custom layer of masked layers": lambda x: Own()(x),
    "custom rule": lambda x: pooled(Shifted()(words(x))),
    "MultiHeadAttention": lambda x: L.MultiHeadAttention(2, 3)(words(x), words(x)),
    "Lambda drops it": lambda x: pooled(L.Lambda(lambda t: t * 2)(words(x))),
}


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("name", CASES)
def test_mask_of_an_embedding(name: str) -> None:
    x = ids()
    model = randomize(keras.Model(x, CASES[name](x)))
    converted(model)
    assert check_parity(model, convert(model, Options(route="direct")), data=[NUMBERS]).passed


EXPLICIT = {
    "pooling": lambda x, mask: L.GlobalAveragePooling1D()(x, mask=mask),
    "attention": lambda x, mask: L.MultiHeadAttention(2, 3)(x, x, query_mask=mask, value_mask=mask),
    "additive attention": lambda x, mask: L.AdditiveAttention()([x, x], mask=[None, mask]),
    "passed on": lambda x, mask: pooled(Shifted()(x, mask=mask)),
}


@pytest.mark.parametrize("name", EXPLICIT)
def test_mask_as_an_argument(name: str) -> None:
    x, mask = keras.Input((6, 4), name="x"), keras.Input((6,), dtype="bool", name="mask")
    model = randomize(keras.Model([x, mask], EXPLICIT[name](x, mask)))
    converted(model)
    images = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    assert check_parity(model, convert(model, Options(route="direct")), data=[images, IS_WORD]).passed


def test_two_inputs_without_masks() -> None:
    # Keras records mask=[None, None] on such a call.
    first, second = keras.Input((6, 4), name="first"), keras.Input((6, 4), name="second")
    converted(randomize(keras.Model([first, second], nested((6, 4), (6, 4))([first, second]))))


def test_unused_mask_leaves_nothing_in_the_graph() -> None:
    x = ids()
    model = randomize(keras.Model(x, L.Dense(2)(words(x))))
    assert kinds(convert(model)) == ["Gather", "MatMul", "Add"]


def test_lowering_without_a_mask_parameter_gives_way_to_the_call() -> None:
    registry = Registry()

    @registry.register_lowering(Shifted)
    def lower_shifted(g: Builder, layer: Shifted, x: Tensor) -> Tensor:
        raise AssertionError("expected not to be called")

    x = ids()
    model = randomize(keras.Model(x, pooled(Shifted()(words(x)))))
    conversion = convert(model, Options(lowerings=registry))
    assert check_parity(model, conversion, data=[NUMBERS]).passed


def test_lowering_receives_the_mask() -> None:
    registry, received = Registry(), []

    @registry.register_lowering(L.GlobalAveragePooling1D)
    def lower_pool(g: Builder, layer: keras.Layer, x: Tensor, mask: Tensor | None = None) -> Tensor:
        received.append(mask)
        return g.lower(lambda t, m: layer.call(t, mask=m), x, mask)

    x = ids()
    model = randomize(keras.Model(x, pooled(words(x))))
    assert check_parity(model, convert(model, Options(lowerings=registry)), data=[NUMBERS]).passed
    (mask,) = received
    assert mask is not None
    assert (mask.shape, mask.dtype) == ((None, 6), "bool")
