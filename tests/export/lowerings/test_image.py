"""Layers that resize images, against Keras."""

import keras
import pytest

from export.errors import UserError
from tests.export.helpers import FORMATS, converted, functional, image_shape

L = keras.layers


@pytest.mark.parametrize("data_format", FORMATS)
def test_up_sampling(data_format: str) -> None:
    for interpolation in ("nearest", "bilinear"):
        layer = L.UpSampling2D((2, 3), interpolation=interpolation, data_format=data_format)
        converted(functional(image_shape(data_format), layer))


def test_bicubic_up_sampling_is_unsupported() -> None:
    with pytest.raises(UserError, match="UpSampling2D with interpolation='bicubic'"):
        converted(functional((5, 6, 4), L.UpSampling2D(2, interpolation="bicubic")))
