"""Resizing and CenterCrop against Keras: interpolations, aspect ratios, formats, dtypes, dynamic sizes."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from tests.export.helpers import FORMATS, converted, image_shape, kinds, random_array, run

L = keras.layers
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area")
# Smaller, larger, one axis each, the same, and a size for which float32 rounds inputs * scale below the outputs.
SIZES = ((4, 5), (20, 25), (4, 25), (9, 8), (15, 8))
ASPECT_RATIO: list[dict[str, Any]] = [
    {"crop_to_aspect_ratio": True},
    {"pad_to_aspect_ratio": True, "fill_value": 0.5},
]


def check(model: keras.Model, *arrays: np.ndarray) -> None:
    """Compare a model with its graph on some inputs."""
    conversion = convert(model, Options(route="direct"))
    for array in arrays:
        for got, want in zip(
            run(conversion, array), keras.tree.flatten(model(array, training=False)), strict=True
        ):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "data_format", ["channels_last", pytest.param("channels_first", marks=pytest.mark.slow)]
)
def test_interpolations(data_format: str) -> None:
    x = inputs = keras.Input(image_shape(data_format))
    outputs = [
        L.Resizing(*size, interpolation=name, antialias=antialias, data_format=data_format)(x)
        for name in INTERPOLATIONS
        for antialias in (False, True)
        for size in SIZES
    ]
    converted(keras.Model(inputs, outputs))


@pytest.mark.parametrize(
    ("size", "operators"),
    [
        ((64, 64), ["Transpose", "Resize", "Transpose"]),  # the positions are the same in float32
        ((70, 128), ["Transpose", "Gather", "Gather", "Sub", "Mul", "Add", "Transpose"]),
        ((128, 96), ["Transpose", "MatMul", "Transpose"]),
    ],
)
def test_bilinear_of_a_large_image(size: tuple[int, int], operators: list[str]) -> None:
    x = keras.Input((128, 128, 2))
    assert kinds(converted(keras.Model(x, L.Resizing(*size)(x)))) == operators


def test_interpolations_to_a_large_image() -> None:
    # With an odd number of inputs and 1024 outputs, half of the positions lie between two steps of the table in which
    # TensorFlow looks the bicubic kernel up.
    x = keras.Input((37, 3, 1))
    check(
        keras.Model(x, [ops.image.resize(x, (1024, 3), interpolation=name) for name in INTERPOLATIONS]),
        random_array(1, 37, 3, 1),
    )


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_dynamic_sizes(name: str) -> None:
    x = keras.Input((None, None, 2))
    outputs = [L.Resizing(7, 6, interpolation=name, antialias=antialias)(x) for antialias in (False, True)]
    check(keras.Model(x, outputs), random_array(2, 4, 9, 2), random_array(1, 12, 6, 2))


@pytest.mark.parametrize("options", ASPECT_RATIO, ids=["crop", "pad"])
def test_aspect_ratio(options: dict[str, Any]) -> None:
    x = keras.Input((9, 8, 2))
    outputs = [L.Resizing(*size, **options)(x) for size in SIZES]
    outputs += [L.Resizing(*size, interpolation="nearest", **options)(x) for size in SIZES]
    converted(keras.Model(x, outputs))
    x = keras.Input((None, None, 2))
    model = keras.Model(x, [L.Resizing(*size, **options)(x) for size in SIZES[:2]])
    check(model, random_array(2, 4, 9, 2), random_array(1, 12, 6, 2))


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic"])
def test_integers_are_rounded(name: str) -> None:
    x = keras.Input((9, 8, 3), dtype="uint8")
    model = keras.Model(x, L.Resizing(20, 5, interpolation=name)(x))
    array = np.random.default_rng(0).integers(0, 256, (2, 9, 8, 3)).astype("uint8")
    [got] = run(convert(model, Options(route="direct")), array)
    difference = np.abs(got - np.asarray(model(array), np.float32))
    # A few sums lie so close to a half that float32 decides.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.005


def test_one_image_without_a_batch() -> None:
    x = keras.Input(batch_shape=(9, 8, 3))
    first = ops.image.resize(x, (5, 8), interpolation="area", data_format="channels_first")
    check(keras.Model(x, [ops.image.resize(x, (5, 6)), first]), random_array(9, 8, 3))


@pytest.mark.parametrize("data_format", FORMATS)
def test_center_crop(data_format: str) -> None:
    x = keras.Input(image_shape(data_format))
    sizes = ((4, 5), (9, 8), (20, 16))
    model = keras.Model(x, [L.CenterCrop(*size, data_format=data_format)(x) for size in sizes])
    assert "Slice" in kinds(converted(model))


def test_center_crop_of_dynamic_sizes() -> None:
    x = keras.Input((None, None, 2))
    model = keras.Model(x, L.CenterCrop(5, 4)(x))
    check(model, random_array(2, 9, 8, 2), random_array(1, 5, 7, 2), random_array(1, 3, 8, 2))


def test_random_crop_in_inference() -> None:
    x = keras.Input((9, 8, 3))
    check(keras.Model(x, L.RandomCrop(4, 5)(x)), random_array(2, 9, 8, 3))


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic"])
def test_resize_to_the_size_of_another_image(name: str) -> None:
    """As in a network with skip connections: a dynamic size, by the operation and by a layer."""

    class UpTo(keras.layers.Layer):
        def compute_output_shape(self, x_shape: Any, other_shape: Any) -> Any:
            return (*other_shape[:2], 5, 3)

        def call(self, x: Any, other: Any) -> Any:
            height, width = ops.shape(other)[1:3]
            y = ops.image.resize(x, (height, width), interpolation=name) + other
            return L.Resizing(height, 5, interpolation=name)(y)

    x, other = keras.Input((4, 6, 3), name="x"), keras.Input((None, None, 3), name="other")
    converted(keras.Model([x, other], UpTo()(x, other)), rtol=1e-3, atol=1e-4)
