"""Which cells ONNX's recurrent operators compute, with which activations."""

import keras
import numpy as np
import pytest

from export.lowerings.recurrent_operators import operator_of
from tests.export.helpers import kinds
from tests.export.lowerings.recurrence import RECURRENT, UNITS, exact, series

L = keras.layers
OF_ONNX = ["linear", "relu", "tanh", "sigmoid", "hard_sigmoid", "softsign", "leaky_relu", "elu"]


@pytest.mark.parametrize("activation", [*OF_ONNX, "softplus", "gelu"])
@pytest.mark.parametrize("name", RECURRENT)
def test_activations(name: str, activation: str) -> None:
    x = series()
    conversion = exact(x, RECURRENT[name](UNITS, activation=activation)(x))
    assert ("Scan" in kinds(conversion)) == (activation not in OF_ONNX)


def test_activations_of_gates_and_states_differ() -> None:
    x = series()
    for layer in (
        L.LSTM(UNITS, activation="elu", recurrent_activation="hard_sigmoid"),
        L.GRU(UNITS, activation="linear", recurrent_activation="leaky_relu"),
    ):
        assert "Scan" not in kinds(exact(x, layer(x)))


def test_order_of_gates() -> None:
    cell = L.LSTMCell(1)
    cell.build((None, 1))
    cell.kernel.assign([[1.0, 2.0, 3.0, 4.0]])  # i, f, c, o
    cell.bias.assign([5.0, 6.0, 7.0, 8.0])
    operator = operator_of(cell)
    assert operator is not None
    np.testing.assert_array_equal(operator.kernel.ravel(), [1, 4, 2, 3])  # i, o, f, c
    np.testing.assert_array_equal(operator.bias, [5, 8, 6, 7, 0, 0, 0, 0])


def test_cells_without_an_operator() -> None:
    class Own(L.LSTMCell):  # type: ignore[name-defined]
        """It may compute anything."""

    for cell in (Own(2), L.LSTMCell(2, activation="gelu"), L.GRUCell(2, recurrent_activation=lambda x: x)):
        cell.build((None, 3))
        assert operator_of(cell) is None
