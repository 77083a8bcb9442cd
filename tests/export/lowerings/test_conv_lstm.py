"""ConvLSTM layers of every rank."""

from typing import Any

import keras
import pytest

from tests.export.helpers import kinds
from tests.export.lowerings.recurrence import exact, masks, numbers

L = keras.layers
CASES: dict[str, tuple[Any, tuple[int | None, ...], dict[str, Any]]] = {
    "1D": (L.ConvLSTM1D, (None, 7, 3), {"kernel_size": 4, "return_sequences": True}),
    "2D, strides and states": (
        L.ConvLSTM2D,
        (3, 6, 5, 2),
        {"kernel_size": 3, "strides": 2, "return_state": True},
    ),
    "2D, backwards": (
        L.ConvLSTM2D,
        (3, 6, 5, 2),
        {"kernel_size": (2, 3), "padding": "same", "return_sequences": True, "go_backwards": True},
    ),
    "2D, no bias, dilation": (
        L.ConvLSTM2D,
        (3, 6, 5, 2),
        {"kernel_size": 2, "use_bias": False, "dilation_rate": 2},
    ),
    "2D, activations": (
        L.ConvLSTM2D,
        (3, 4, 4, 2),
        {"kernel_size": 3, "activation": "relu", "recurrent_activation": "hard_sigmoid"},
    ),
    "3D, channels first": (
        L.ConvLSTM3D,
        (2, 2, 4, 3, 3),
        {"kernel_size": 2, "padding": "same", "data_format": "channels_first"},
    ),
}


# Keras has XLA compile convolutions in channels-first layout, which takes half a minute.
SLOW = [pytest.param(name, marks=pytest.mark.slow) if "channels first" in name else name for name in CASES]


@pytest.mark.parametrize("name", SLOW)
def test_options(name: str) -> None:
    kind, shape, options = CASES[name]
    x = keras.Input(shape)
    conversion = exact(x, kind(2, **options)(x))
    assert kinds(conversion).count("Conv") == 1  # that of the inputs; that of the state is in the Scan


@pytest.mark.parametrize(
    "options", [{}, {"return_sequences": True, "return_state": True}], ids=["last", "all"]
)
def test_mask(options: dict[str, Any]) -> None:
    x, mask = keras.Input((4, 4, 5, 2)), keras.Input((4,), dtype="bool")
    outputs = L.ConvLSTM2D(2, 3, **options)(x, mask=mask)
    exact([x, mask], outputs, [numbers(24, 4, 4, 5, 2), masks(length=4)])


def test_initial_state() -> None:
    x, states = keras.Input((3, 4, 5, 2)), [keras.Input((4, 5, 2)) for _ in range(2)]
    exact([x, *states], L.ConvLSTM2D(2, 3, padding="same")(x, initial_state=states))


def test_next_frame() -> None:
    x = keras.Input((None, 6, 6, 1))
    y = L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(x)
    y = L.ConvLSTM2D(2, 3, padding="same")(L.BatchNormalization()(y))
    exact(x, L.Conv2D(1, 3, padding="same", activation="sigmoid")(y))
