"""Random stacks of layers on masked sequences of any length, built by hypothesis."""

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.convert import Options, convert
from export.parity import check_parity
from tests.export.helpers import randomize

L = keras.layers
UNITS = 6

RECURRENT: list[Any] = [
    lambda: L.LSTM(UNITS, return_sequences=True),
    lambda: L.LSTM(UNITS, return_sequences=True, go_backwards=True, recurrent_activation="hard_sigmoid"),
    lambda: L.GRU(UNITS, return_sequences=True),
    lambda: L.GRU(UNITS, return_sequences=True, reset_after=False, activation="relu"),
    lambda: L.SimpleRNN(UNITS, return_sequences=True),
    lambda: L.Bidirectional(L.LSTM(UNITS // 2, return_sequences=True)),
    lambda: L.Bidirectional(L.GRU(UNITS, return_sequences=True), merge_mode="ave"),
    lambda: L.RNN([L.GRUCell(4), L.LSTMCell(UNITS)], return_sequences=True),
]
OTHERS: list[Any] = [
    lambda: L.Dense(UNITS, activation="tanh"),
    lambda: L.TimeDistributed(L.Dense(UNITS)),
    lambda: L.Conv1D(UNITS, 3, padding="causal"),
    lambda: L.Conv1DTranspose(UNITS, 2, strides=2, padding="same"),
    lambda: L.LayerNormalization(epsilon=0.1),
    lambda: L.Masking(0.0),
    lambda: L.Dropout(0.2),
    lambda: L.EinsumDense("abc,cd->abd", (None, UNITS), bias_axes="d"),
]
ATTENTION = ["self-attention", "causal self-attention", "additive attention"]
HEADS: list[Any] = [
    lambda: L.GlobalAveragePooling1D(),
    lambda: L.GlobalMaxPooling1D(),
    lambda: L.LSTM(5),
    lambda: L.Bidirectional(L.GRU(4)),
    lambda: (
        L.AdaptiveAveragePooling1D(1) if hasattr(L, "AdaptiveAveragePooling1D") else L.GlobalMaxPooling1D()
    ),
]
layers = st.one_of(st.sampled_from(RECURRENT), st.sampled_from(OTHERS), st.sampled_from(ATTENTION))


def attend(kind: str, x: Any) -> Any:
    if kind == "additive attention":
        return L.AdditiveAttention()([x, x])
    attention = L.MultiHeadAttention(2, 3)
    return attention(x, x, use_causal_mask=kind == "causal self-attention")


def check(stack: list[Any], masked: bool, residual: bool, head: Any, seed: int) -> None:
    if masked:
        inputs = keras.Input((None,), dtype="int32")
        x = L.Embedding(9, UNITS, mask_zero=True)(inputs)
    else:
        inputs = keras.Input((None, 4))
        x = L.Dense(UNITS)(inputs)
    for make in stack:
        y = attend(make, x) if isinstance(make, str) else make()(x)
        x = (
            L.Add()([x, y])
            if residual and not isinstance(make, str) and y.shape == x.shape and _keeps(make)
            else y
        )
    x = head()(x)
    outputs = L.Dense(3, activation="softmax")(x if len(x.shape) == 2 else L.Flatten()(x))
    model = randomize(keras.Model(inputs, outputs), seed)
    conversion = convert(model, Options(route="direct", input_range=(-2.0, 2.0)))
    parity = check_parity(model, conversion, batches=[1, 3])
    assert parity.passed, parity.table()
    assert np.all([d.nan == 0 for d in parity.differences])


def _keeps(make: Any) -> bool:
    """Whether a layer keeps the length of a sequence."""
    return make is not OTHERS[3]


STRATEGY: Any = {
    "stack": st.lists(layers, min_size=1, max_size=4),
    "masked": st.booleans(),
    "residual": st.booleans(),
    "head": st.sampled_from(HEADS),
    "seed": st.integers(0, 1000),
}


@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(**STRATEGY)
def test_random_sequence_model(stack: list[Any], masked: bool, residual: bool, head: Any, seed: int) -> None:
    check(stack, masked, residual, head, seed)


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(**STRATEGY)
def test_more_random_sequence_models(
    stack: list[Any], masked: bool, residual: bool, head: Any, seed: int
) -> None:
    check(stack, masked, residual, head, seed)
