"""Blur, edges, and measures of images against Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.lowerings.image_filters import gaussian
from tests.export.helpers import FORMATS, converted, image_shape, random_array, run


@pytest.mark.skipif(
    not hasattr(ops.image, "gaussian_blur"), reason="this version of Keras has no gaussian_blur"
)
@pytest.mark.parametrize("data_format", FORMATS)
def test_filters(data_format: str) -> None:
    x = keras.Input(image_shape(data_format, 7, 6, 3))
    outputs = [
        ops.image.gaussian_blur(x, size, sigma, data_format=data_format)
        for size, sigma in (((3, 3), (1.0, 1.0)), ((3, 5), (1.0, 2.0)), ((2, 4), (0.5, 1.0)))
    ]
    if hasattr(ops.image, "sobel_edges"):
        outputs.append(ops.image.sobel_edges(x, data_format=data_format))
    converted(keras.Model(x, outputs))


@pytest.mark.skipif(not hasattr(ops.image, "ssim"), reason="this version of Keras has no ssim")
@pytest.mark.parametrize("data_format", FORMATS)
def test_structural_similarity(data_format: str) -> None:
    shape = image_shape(data_format, 7, 6, 3)
    a, b, one = keras.Input(shape), keras.Input(shape), keras.Input(batch_shape=shape)
    options = {"filter_size": 3, "data_format": data_format}
    converted(keras.Model([a, b], ops.image.ssim(a, b, max_val=2.0, **options)), input_range=(0.0, 1.0))
    model = keras.Model(one, ops.image.ssim(one, one * one, **options))
    array = random_array(*(size or 1 for size in shape))
    [got] = run(convert(model, Options(route="direct")), array)
    np.testing.assert_allclose(got, model(array), rtol=1e-4, atol=1e-5)


def test_signal_to_noise_ratio() -> None:
    a, b = keras.Input((5, 4)), keras.Input((5, 4))
    converted(keras.Model([a, b], ops.psnr(a, b, 2.0)))


def test_gaussian() -> None:
    np.testing.assert_allclose(gaussian(3, 1.0), [0.27406862, 0.45186276, 0.27406862], rtol=1e-6, atol=0)
