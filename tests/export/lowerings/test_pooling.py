"""Pooling against Keras: windows and whole images, layers and operations."""

from typing import Any

import keras
import pytest
from keras import ops

from tests.export.helpers import (
    FORMATS,
    check_operation,
    converted,
    functional,
    image_shape,
    in_either_layout,
)

L = keras.layers


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [None, 1, (3, 2)])
@pytest.mark.parametrize("kind", [L.MaxPooling2D, L.AveragePooling2D])
def test_pooling(kind: Any, strides: Any, padding: str, data_format: str) -> None:
    layer = kind((2, 3), strides=strides, padding=padding, data_format=data_format)
    converted(functional(image_shape(data_format), layer))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("kind", [L.GlobalAveragePooling2D, L.GlobalMaxPooling2D])
def test_global_pooling(kind: Any, keepdims: bool, data_format: str) -> None:
    converted(functional(image_shape(data_format), kind(data_format=data_format, keepdims=keepdims)))


@in_either_layout
def test_operation(channels_first: bool) -> None:
    check_operation(
        lambda x: ops.max_pool(x, 2, padding="same") - ops.average_pool(x, 2, padding="same"), channels_first
    )
