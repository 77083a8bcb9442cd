"""TimeDistributed: a layer on every step, as a reshape."""

from collections.abc import Callable
from typing import Any

import keras
import pytest

from export.convert import convert
from export.errors import UserError
from tests.export.helpers import functional, kinds
from tests.export.lowerings.recurrence import exact, masks, numbers, series

L = keras.layers
CASES: dict[str, tuple[tuple[int | None, ...], Callable[[], Any]]] = {
    "Dense": ((6, 5), lambda: L.Dense(3)),
    "Dense, dynamic": ((None, 5), lambda: L.Dense(3)),
    "Conv2D": ((3, 8, 7, 4), lambda: L.Conv2D(2, 3)),
    "model": (
        (3, 8, 7, 4),
        lambda: keras.Sequential([L.Conv2D(2, 3), L.BatchNormalization(), L.GlobalAveragePooling2D()]),
    ),
    "LSTM over a second time axis": ((3, 4, 5), lambda: L.LSTM(3, return_sequences=True)),
    "flattened": ((3, 4, 5), L.Flatten),
}


@pytest.mark.parametrize("name", CASES)
def test_layers(name: str) -> None:
    shape, make = CASES[name]
    x = keras.Input(shape)
    conversion = exact(x, L.TimeDistributed(make())(x))
    assert "Loop" not in kinds(conversion)


def test_mask_goes_on_to_the_next_layer() -> None:
    x, mask = series(), keras.Input((6,), dtype="bool")
    y = L.TimeDistributed(L.Dense(3))(x, mask=mask)
    exact([x, mask], L.LSTM(2)(y), [numbers(24, 6, 5), masks()])


def test_a_quantized_layer_within_is_refused() -> None:
    model = functional((6, 5), L.TimeDistributed(L.Dense(3), name="each"))
    model.get_layer("each").layer.quantize("int8")
    with pytest.raises(
        UserError, match=r"layer 'each' \(TimeDistributed\): expected a layer in float32 within"
    ):
        convert(model)
