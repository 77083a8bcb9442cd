from typing import Any

import keras
import numpy as np
import pytest

from export.convert import convert
from export.parity.evaluate import Evaluator
from export.parity.logits import with_logits
from export.runtime import open_session
from tests.export.helpers import functional, randomize

L = keras.layers


@pytest.mark.parametrize(
    ("shape", "layers"),
    [
        ((6,), [L.Dense(4, activation="softmax")]),
        ((6,), [L.Dense(4, activation="sigmoid")]),
        ((6,), [L.Dense(4), L.Activation("log_softmax")]),
        ((6,), [L.Dense(4, activation="softmax"), L.Reshape((2, 2))]),
        ((5, 4, 3), [L.Conv2D(3, 1, activation="softmax")]),
        ((5, 4, 3), [L.Conv2D(1, 3, activation="sigmoid"), L.Flatten()]),
    ],
)
def test_they_are_those_of_keras(shape: tuple[int, ...], layers: list[Any]) -> None:
    model = functional(shape, *layers)
    conversion = convert(model)
    before = conversion.model.SerializeToString(deterministic=True)
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    with with_logits(conversion.model, [0]) as found:
        got = open_session(conversion.model.SerializeToString()).run(None, {conversion.inputs[0]: x})
    assert found == [0]
    for ours, theirs in zip(got, Evaluator(model)([x]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert conversion.model.SerializeToString(deterministic=True) == before


def test_argmax() -> None:
    inputs = keras.Input((6,))
    model = randomize(keras.Model(inputs, keras.ops.argmax(L.Dense(4)(inputs), axis=-1)))
    conversion = convert(model)
    x = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    with with_logits(conversion.model, [0]) as found:
        got = open_session(conversion.model.SerializeToString()).run(None, {conversion.inputs[0]: x})
    assert found == [0]
    np.testing.assert_array_equal(got[0], got[1].argmax(-1))


def test_a_graph_without_a_final_activation_has_none() -> None:
    conversion = convert(functional((6,), L.Dense(4)))
    with with_logits(conversion.model, [0]) as found:
        assert found == []
        assert len(conversion.model.graph.output) == 1
