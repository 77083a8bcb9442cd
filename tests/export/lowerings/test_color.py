"""Color spaces against Keras."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from tests.export.helpers import FORMATS, converted, image_shape, kinds, run


@pytest.mark.parametrize("data_format", FORMATS)
def test_color_spaces(data_format: str) -> None:
    x = keras.Input(image_shape(data_format, 4, 5, 3))
    names = ("rgb_to_grayscale", "rgb_to_hsv", "hsv_to_rgb")
    outputs = [getattr(ops.image, name)(x, data_format=data_format) for name in names]
    converted(keras.Model(x, outputs), input_range=(0.0, 1.0))


def test_special_colors() -> None:
    # Black, gray, and colors with two or three equal channels, where the formulas divide by 0.
    colors = np.array(np.meshgrid(*[[0, 0.25, 1]] * 3), np.float32).reshape(1, 3, 27).transpose(0, 2, 1)
    x = keras.Input((1, 27, 3))
    model = keras.Model(x, [ops.image.rgb_to_hsv(x), ops.image.hsv_to_rgb(x)])
    outputs = run(convert(model, Options(route="direct")), colors[:, None])
    for got, want in zip(outputs, model(colors[:, None]), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_one_image_without_a_batch() -> None:
    x = keras.Input(batch_shape=(4, 5, 3))
    model = keras.Model(x, [ops.image.rgb_to_grayscale(x), ops.image.rgb_to_hsv(x)])
    array: Any = np.random.default_rng(0).uniform(0, 1, (4, 5, 3)).astype("float32")
    for got, want in zip(run(convert(model, Options(route="direct")), array), model(array), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_gray_images_stay_as_they_are() -> None:
    x = keras.Input((4, 5, 1))
    assert kinds(converted(keras.Model(x, ops.image.rgb_to_grayscale(x)))) == ["Identity"]
