"""Scan: bodies with layers of every kind."""

from typing import Any

import keras
import pytest

from tests.export.helpers import kinds
from tests.export.lowerings.recurrence import exact, masks, numbers, series

L = keras.layers


class Cell(keras.layers.Layer):
    """Layers within, constants that are folded or legalized, nested states, and an output equal to a state."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.state_size = units, [units, units]
        self.dense = L.Dense(units, activation="gelu")
        self.normalize = [L.BatchNormalization(), L.LayerNormalization(), L.GroupNormalization(1)]

    def build(self, shape: Any) -> None:
        self.dense.build((shape[0], shape[-1] + self.units))
        for layer in self.normalize:
            layer.build((shape[0], self.units))

    def call(self, x: Any, states: Any) -> Any:
        h = self.dense(keras.ops.concatenate([x, states[0]], axis=-1))
        for layer in self.normalize:
            h = layer(h)
        return h, [h, states[1] + h]


@pytest.mark.parametrize("zeros", [False, True], ids=["carried", "zeros"])
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_cell_of_layers(masked: bool, zeros: bool) -> None:
    x, mask = series(), keras.Input((6,), dtype="bool")
    layer = L.RNN(Cell(4), return_sequences=True, return_state=True, zero_output_for_mask=zeros)
    outputs = layer(x, mask=mask) if masked else layer(x)
    conversion = exact([x, mask][: 1 + masked], outputs, [numbers(24, 6, 5), masks()][: 1 + masked])
    assert kinds(conversion).count("Scan") == 1
