"""Upsampling layers against Keras: interpolations, factors, formats, dynamic sizes."""

from typing import Any

import keras
import numpy as np
import pytest

from export.convert import Options, convert
from tests.export.helpers import FORMATS, converted, image_shape, kinds, random_array, run

L = keras.layers
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


@pytest.mark.parametrize("data_format", FORMATS)
def test_up_sampling_of_images(data_format: str) -> None:
    x = inputs = keras.Input(image_shape(data_format))
    outputs = [
        L.UpSampling2D(size, data_format=data_format, interpolation=interpolation)(x)
        for interpolation in INTERPOLATIONS
        for size in (2, (1, 3))
    ]
    converted(keras.Model(inputs, outputs))


def test_up_sampling_of_sequences_and_volumes() -> None:
    sequence, volume = keras.Input((5, 3)), keras.Input((2, 3, 4, 2))
    outputs = [
        L.UpSampling1D(3)(sequence),
        L.UpSampling3D((1, 2, 3))(volume),
        L.UpSampling3D(2, data_format="channels_first")(volume),
    ]
    conversion = converted(keras.Model([sequence, volume], outputs))
    assert kinds(conversion).count("Resize") == 3


@pytest.mark.parametrize(
    ("layer", "rank"),
    [(L.UpSampling1D(3), 1), (L.UpSampling3D((1, 2, 3)), 3)]
    + [(L.UpSampling2D((2, 3), interpolation=name), 2) for name in ("nearest", "bilinear", "lanczos3")],
)
def test_dynamic_sizes(layer: Any, rank: int) -> None:
    x = keras.Input((*[None] * rank, 2))
    model = keras.Model(x, layer(x))
    conversion = convert(model, Options(route="direct"))
    for size in (3, 5):
        array = random_array(2, *[size] * rank, 2)
        np.testing.assert_allclose(run(conversion, array)[0], model(array), rtol=1e-4, atol=1e-5)
