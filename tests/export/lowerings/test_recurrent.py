"""LSTM, GRU, SimpleRNN and RNN: every argument, dynamic lengths, and masks of any pattern."""

from typing import Any

import keras
import numpy as np
import pytest

from tests.export.helpers import kinds
from tests.export.lowerings.recurrence import RECURRENT, UNITS, exact, ids, masks, numbers, series, words

L = keras.layers
OPERATORS = {"LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "RNN"}
OPTIONS: dict[str, dict[str, Any]] = {
    "last": {},
    "sequence": {"return_sequences": True},
    "sequence and state": {"return_sequences": True, "return_state": True},
    "state": {"return_state": True},
    "backwards": {"go_backwards": True, "return_sequences": True, "return_state": True},
    "backwards, last": {"go_backwards": True},
    "no bias": {"use_bias": False},
    "unrolled": {"unroll": True},
    "dropout": {"dropout": 0.2, "recurrent_dropout": 0.2},
}


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("option", OPTIONS)
def test_options(name: str, option: str) -> None:
    x = series()
    conversion = exact(x, RECURRENT[name](UNITS, **OPTIONS[option])(x))
    assert kinds(conversion).count(OPERATORS[name]) == 1
    assert "Loop" not in kinds(conversion)
    assert "Scan" not in kinds(conversion)


def test_gru_that_resets_before_the_product() -> None:
    x = series()
    exact(x, L.GRU(UNITS, reset_after=False, return_sequences=True)(x))


@pytest.mark.parametrize("name", RECURRENT)
def test_dynamic_length(name: str) -> None:
    x = series(None)
    exact(x, RECURRENT[name](UNITS, return_sequences=True)(x))


@pytest.mark.parametrize("name", RECURRENT)
def test_stacked_layers_have_no_transposes_between(name: str) -> None:
    x = series()
    conversion = exact(x, RECURRENT[name](2)(RECURRENT[name](UNITS, return_sequences=True)(x)))
    assert kinds(conversion).count("Transpose") == 1


@pytest.mark.parametrize("name", RECURRENT)
def test_initial_state(name: str) -> None:
    x, states = series(), [keras.Input((UNITS,)) for _ in range(2 if name == "LSTM" else 1)]
    exact([x, *states], RECURRENT[name](UNITS)(x, initial_state=states))


def test_encoder_and_decoder() -> None:
    x, y = series(), series(4)
    _, *states = L.LSTM(UNITS, return_state=True)(x)
    exact([x, y], L.LSTM(UNITS, return_sequences=True)(y, initial_state=states))


@pytest.mark.parametrize("name", RECURRENT)
def test_stateful_layer_starts_from_its_state(name: str) -> None:
    x = series(batch=3)
    layer = RECURRENT[name](UNITS, stateful=True)
    exact(x, layer(x))
    layer(numbers(3, 6, 5))  # changes the state
    exact(x, layer(x), [numbers(3, 6, 5, seed=2)])


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("option", ["last", "sequence and state", "backwards"])
def test_mask_of_any_pattern(name: str, option: str) -> None:
    x, mask = series(), keras.Input((6,), dtype="bool")
    outputs = RECURRENT[name](UNITS, **OPTIONS[option])(x, mask=mask)
    conversion = exact([x, mask], outputs, [numbers(24, 6, 5), masks()])
    assert "Scan" not in kinds(conversion)


@pytest.mark.parametrize("name", RECURRENT)
def test_mask_and_initial_state(name: str) -> None:
    x, mask = series(), keras.Input((6,), dtype="bool")
    states = [keras.Input((UNITS,)) for _ in range(2 if name == "LSTM" else 1)]
    layer = RECURRENT[name](UNITS, return_sequences=True, return_state=True)
    outputs = layer(x, mask=mask, initial_state=states)
    data = [numbers(24, 6, 5), masks(), *(numbers(24, UNITS, seed=3 + i) for i in range(len(states)))]
    exact([x, mask, *states], outputs, data)


@pytest.mark.parametrize("name", RECURRENT)
def test_mask_of_an_embedding_goes_through_two_layers(name: str) -> None:
    x = ids()
    y = RECURRENT[name](UNITS)(RECURRENT[name](4, return_sequences=True)(words(x)))
    exact(x, y, [np.random.default_rng(0).integers(0, 3, (24, 6)).astype("int32")])


def test_mask_of_masking() -> None:
    x = series()
    steps = numbers(24, 6, 5) * masks()[..., np.newaxis]
    exact(x, L.LSTM(UNITS, zero_output_for_mask=True, return_sequences=True)(L.Masking()(x)), [steps])


class Minimal(keras.layers.Layer):
    """A cell of a user's own, with an output that is not its state."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.state_size = self.units = units

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units))
        self.recurrent = self.add_weight(shape=(self.units, self.units))

    def call(self, x: Any, states: Any) -> Any:
        h = keras.ops.tanh(keras.ops.matmul(x, self.kernel) + keras.ops.matmul(states[0], self.recurrent))
        return 2 * h, [h]


class Remembering(Minimal):
    """It starts from ones."""

    def get_initial_state(self, batch_size: Any = None) -> Any:
        return [keras.ops.ones((batch_size, self.units))]


CELLS = {
    "LSTMCell": lambda: L.LSTMCell(UNITS),
    "stacked": lambda: [L.LSTMCell(UNITS), L.GRUCell(2), L.SimpleRNNCell(4)],
    "custom": lambda: Minimal(UNITS),
    "custom initial state": lambda: Remembering(UNITS),
    "custom, stacked": lambda: [Minimal(4), L.LSTMCell(UNITS)],
}


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("name", CELLS)
def test_cells(name: str, masked: bool) -> None:
    x, mask = series(None if masked else 6), keras.Input((None,), dtype="bool")
    layer = L.RNN(CELLS[name](), return_sequences=True, return_state=True, go_backwards=True)
    outputs = layer(x, mask=mask) if masked else layer(x)
    conversion = exact([x, mask][: 1 + masked], outputs, [numbers(24, 6, 5), masks()][: 1 + masked])
    assert ("Scan" in kinds(conversion)) == ("custom" in name)
