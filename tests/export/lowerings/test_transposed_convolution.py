"""Transposed convolutions against Keras: paddings, strides, dilations, formats, dynamic sizes."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.lowerings.transposed_convolution import transposed_pads
from tests.export.helpers import converted, functional, kinds, random_array, randomize, run

L = keras.layers
LAYERS = [L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose]
SIZES = (5, 4, 3)


RANKS = [1, 2, pytest.param(3, marks=pytest.mark.slow)]  # volumes take seconds, and the same code


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("rank", RANKS)
def test_kernels_and_strides(rank: int, padding: str) -> None:
    x = inputs = keras.Input((*SIZES[:rank], 2))
    outputs = [
        LAYERS[rank - 1](3, kernel, strides=strides, padding=padding, use_bias=strides > 1)(x)
        for kernel in ((1, 2, 3, 5) if rank < 3 else (2, 3))
        for strides in (1, 2, 3)
    ]
    conversion = converted(randomize(keras.Model(inputs, outputs)))
    assert kinds(conversion).count("ConvTranspose") == len(outputs)


OPTIONS: list[dict[str, Any]] = [
    {"strides": 2, "padding": "same", "output_padding": 0},
    {"strides": 2, "padding": "same", "output_padding": 1},
    {"strides": 3, "padding": "valid", "output_padding": 2},
    {"strides": 3, "padding": "valid", "output_padding": 0, "activation": "relu"},
    {"dilation_rate": 2, "padding": "same"},
    {"dilation_rate": 2, "padding": "valid"},
]


@pytest.mark.parametrize("rank", RANKS)
def test_output_padding_and_dilation(rank: int) -> None:
    x = inputs = keras.Input((*SIZES[:rank], 2))
    outputs = [LAYERS[rank - 1](3, 3, **options)(x) for options in OPTIONS]
    if rank == 2:
        outputs.append(L.Conv2DTranspose(3, (2, 4), strides=(3, 2), padding="same", output_padding=1)(x))
    converted(randomize(keras.Model(inputs, outputs)))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("rank", RANKS)
def test_dynamic_sizes(rank: int, padding: str) -> None:
    layers = [LAYERS[rank - 1](3, kernel, strides=2, padding=padding) for kernel in (3, 2)]
    model = functional((*[None] * rank, 2), *layers)
    conversion = convert(model, Options(route="direct"))
    for size in (3, 4):
        x = random_array(2, *[size] * rank, 2)
        np.testing.assert_allclose(run(conversion, x)[0], model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", RANKS)
def test_channels_first(rank: int) -> None:
    # Keras can't compute some of these on a CPU, so the same layer on the transposed image is the reference.
    options: dict[str, Any] = {"strides": 2, "padding": "same"}
    first = functional((2, *SIZES[:rank]), LAYERS[rank - 1](7, 3, data_format="channels_first", **options))
    last = functional((*SIZES[:rank], 2), LAYERS[rank - 1](7, 3, **options))
    last.set_weights(first.get_weights())
    x = random_array(2, *SIZES[:rank], 2)
    [got] = run(convert(first, Options(route="direct")), np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    np.testing.assert_allclose(np.moveaxis(got, 1, -1), last(x), rtol=1e-4, atol=1e-5)


class Upscale(keras.layers.Layer):
    """A layer whose call uses the operation, which Keras' own Functional models can't run."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(3, 3, 5, shape[-1]), name="kernel")

    def call(self, x: Any) -> Any:
        return ops.conv_transpose(x, self.kernel, 2, padding="same", output_padding=0)


def test_operation() -> None:
    assert kinds(converted(functional((5, 4, 2), Upscale()))) == ["Transpose", "ConvTranspose", "Transpose"]


@pytest.mark.parametrize(
    ("arguments", "pads"),
    [
        (("valid", 3, 2, 1, None), (0, 0, 0)),
        (("valid", 2, 3, 1, None), (0, 0, 1)),
        (("valid", 3, 2, 1, 1), (0, 0, 1)),
        (("same", 3, 2, 1, None), (0, 1, 0)),
        (("same", 5, 2, 1, None), (1, 2, 0)),
        (("same", 2, 3, 1, None), (0, 0, 1)),
        (("same", 3, 1, 2, None), (2, 2, 0)),
        (("same", 3, 2, 1, 1), (0, 1, 0)),
        (("same", 3, 2, 1, 0), (1, 1, 0)),
    ],
)
def test_transposed_pads(arguments: tuple[Any, ...], pads: tuple[int, int, int]) -> None:
    assert transposed_pads(*arguments) == pads
