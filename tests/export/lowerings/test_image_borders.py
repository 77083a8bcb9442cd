"""Crops and pads of keras.ops.image against Keras."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from tests.export.helpers import FORMATS, converted, image_shape, random_array, run

CROPS: list[dict[str, Any]] = [
    {"top_cropping": 1, "left_cropping": 2, "target_height": 4, "target_width": 5},
    {"bottom_cropping": 2, "right_cropping": 0, "target_height": 4, "target_width": 5},
    {"top_cropping": 1, "bottom_cropping": 0, "left_cropping": 0, "right_cropping": 2},
]
PADS: list[dict[str, Any]] = [
    {"top_padding": 1, "left_padding": 2, "target_height": 14, "target_width": 15},
    {"bottom_padding": 2, "right_padding": 0, "target_height": 14, "target_width": 15},
    {"top_padding": 1, "bottom_padding": 0, "left_padding": 0, "right_padding": 2},
]


@pytest.mark.parametrize("data_format", FORMATS)
def test_crops_and_pads(data_format: str) -> None:
    x = inputs = keras.Input(image_shape(data_format))
    if data_format == "channels_last":
        x = keras.layers.Conv2D(2, 1)(x)  # in channels-first layout in the graph
    outputs = [ops.image.crop_images(x, data_format=data_format, **options) for options in CROPS]
    outputs += [ops.image.pad_images(x, data_format=data_format, **options) for options in PADS]
    converted(keras.Model(inputs, outputs))


def test_dynamic_sizes_and_one_image() -> None:
    images, image = keras.Input((None, None, 2)), keras.Input(batch_shape=(9, 8, 2))
    for x, array in ((images, random_array(2, 10, 7, 2)), (image, random_array(9, 8, 2))):
        outputs = [ops.image.crop_images(x, **options) for options in CROPS[:2]]
        outputs += [ops.image.pad_images(x, **options) for options in PADS]
        model = keras.Model(x, outputs)
        for got, want in zip(run(convert(model, Options(route="direct")), array), model(array), strict=True):
            np.testing.assert_array_equal(got, want)
