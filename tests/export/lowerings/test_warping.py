"""Affine and perspective transforms of images against Keras."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import UserError
from export.lowerings.warping import homography
from tests.export.helpers import FORMATS, image_shape, random_array, run

SHAPE = (8, 9, 2)
IDENTITY = np.array([[1, 0, 0, 0, 1, 0, 0, 0]], np.float32)
NEAR = np.array([1.1, 0.13, -2.3, -0.07, 0.9, 1.7, 0.01, -0.02], np.float32)
FAR = NEAR * np.array([3, 1, 20, 1, -3, -30, 0, 0], np.float32)  # several times the size outside
START = np.array([[[0, 0], [0, 7], [7, 0], [7, 7]]], np.float32)
END = np.array([[[1, 0], [0, 7], [7, 0], [7, 6]]], np.float32)


def check(model: keras.Model, *arrays: np.ndarray) -> None:
    """Compare a model with its graph."""
    outputs = run(convert(model, Options(route="direct")), *arrays)
    expected = model(list(arrays) if len(arrays) > 1 else arrays[0])
    for got, want in zip(outputs, keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect", "wrap"])
def test_affine_transform(fill_mode: str, interpolation: str) -> None:
    options = {"fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 0.7}
    x = keras.Input(SHAPE)
    outputs = [ops.image.affine_transform(x, transform, **options) for transform in (IDENTITY, NEAR, FAR)]
    check(keras.Model(x, outputs), random_array(2, *SHAPE))


@pytest.mark.parametrize("data_format", FORMATS)
def test_transform_of_each_image(data_format: str) -> None:
    shape = image_shape(data_format)
    x, transforms = keras.Input(shape), keras.Input((8,))
    arrays = random_array(3, *(size or 1 for size in shape)), np.stack([IDENTITY[0], NEAR, FAR])
    check(
        keras.Model([x, transforms], ops.image.affine_transform(x, transforms, data_format=data_format)),
        *arrays,
    )


def test_one_image_and_one_computed_transform() -> None:
    x, transform = keras.Input(batch_shape=SHAPE), keras.Input(batch_shape=(8,))
    model = keras.Model([x, transform], ops.image.affine_transform(x, transform))
    check(model, random_array(*SHAPE), NEAR)


@pytest.mark.skipif(not hasattr(ops.image, "perspective_transform"), reason="this version of Keras has none")
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_perspective_transform(interpolation: str) -> None:
    options: dict[str, Any] = {"interpolation": interpolation, "fill_value": 0.3}
    x = keras.Input(SHAPE)
    outputs = [
        ops.image.perspective_transform(x, *points, **options)
        for points in ((START, END), (START[0], END[0]))
    ]
    check(keras.Model(x, outputs), random_array(2, *SHAPE))


def test_homography_maps_end_points_to_start_points() -> None:
    a = np.append(np.asarray(homography(START, END))[0], 1).reshape(3, 3)
    mapped = np.column_stack([END[0], np.ones(4)]) @ a.T
    np.testing.assert_allclose(mapped[:, :2] / mapped[:, 2:], START[0], rtol=1e-4, atol=1e-4)


def test_dynamic_size_is_unsupported() -> None:
    x = keras.Input((None, 9, 2))
    with pytest.raises(UserError, match="a transform of images of dynamic size"):
        convert(keras.Model(x, ops.image.affine_transform(x, NEAR)), Options(route="direct"))
