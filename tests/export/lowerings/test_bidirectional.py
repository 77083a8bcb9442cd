"""Bidirectional layers: every way to merge, states, masks, and two different layers."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from export.convert import convert
from export.errors import UserError
from tests.export.helpers import kinds
from tests.export.lowerings.recurrence import RECURRENT, UNITS, exact, ids, masks, numbers, series, words

L = keras.layers


@pytest.mark.parametrize("sequence", [True, False], ids=["sequence", "last"])
@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_merge_modes(mode: str | None, sequence: bool) -> None:
    x = series()
    exact(x, L.Bidirectional(L.GRU(UNITS, return_sequences=sequence), merge_mode=mode)(x))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (lambda: L.LSTM(UNITS, return_sequences=True), ["Transpose", "LSTM", "Transpose", "Reshape"]),
        (lambda: L.GRU(UNITS), ["Transpose", "GRU", "Transpose", "Reshape"]),
        (lambda: L.SimpleRNN(UNITS, use_bias=False), ["Transpose", "RNN", "Transpose", "Reshape"]),
    ],
)
def test_both_directions_are_one_node(layer: Callable[[], Any], expected: list[str]) -> None:
    x = series(None)
    assert kinds(convert(keras.Model(x, L.Bidirectional(layer())(x)))) == expected


def test_one_direction_without_a_bias() -> None:
    x = series()
    backward = L.GRU(UNITS, return_sequences=True, go_backwards=True, use_bias=False)
    exact(x, L.Bidirectional(L.GRU(UNITS, return_sequences=True), backward_layer=backward)(x))


@pytest.mark.parametrize("mode", ["concat", None])
def test_states(mode: str | None) -> None:
    x, given = series(None), [keras.Input((UNITS,)) for _ in range(4)]
    layer = L.LSTM(UNITS, return_sequences=True, return_state=True)
    exact([x, *given], L.Bidirectional(layer, merge_mode=mode)(x, initial_state=given))


@pytest.mark.parametrize(
    "options", [{}, {"return_sequences": True, "return_state": True}], ids=["last", "all"]
)
@pytest.mark.parametrize("name", RECURRENT)
def test_masks(name: str, options: dict[str, Any]) -> None:
    x, mask = series(), keras.Input((6,), dtype="bool")
    outputs = L.Bidirectional(RECURRENT[name](UNITS, **options))(x, mask=mask)
    exact([x, mask], outputs, [numbers(24, 6, 5), masks()])


def test_text_classifier() -> None:
    x = ids()
    y = L.Bidirectional(L.LSTM(UNITS, return_sequences=True))(words(x))
    exact(x, L.Dense(1)(L.Bidirectional(L.GRU(2))(y)), [np.random.default_rng(0).integers(0, 3, (9, 6))])


def test_two_different_layers() -> None:
    x = series()
    backward = L.GRU(2, return_sequences=True, go_backwards=True)
    exact(x, L.Bidirectional(L.LSTM(UNITS, return_sequences=True), backward_layer=backward)(x))


def test_convolutional() -> None:
    x = keras.Input((3, 4, 5, 2))
    exact(x, L.Bidirectional(L.ConvLSTM2D(2, 3, padding="same", return_sequences=True))(x))


def test_other_layers_are_unsupported() -> None:
    class Own(L.LSTM):  # type: ignore[name-defined]
        """It may compute anything."""

    x = series()
    layer = L.Bidirectional(L.LSTM(UNITS))
    layer.forward_layer = Own(UNITS)
    with pytest.raises(UserError, match=r"\(Bidirectional\): the layer Own in both directions"):
        exact(x, layer(x))
