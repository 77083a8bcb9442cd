"""Pooling against Keras: windows and whole images, layers and operations."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from tests.export.helpers import (
    FORMATS,
    check_operation,
    converted,
    functional,
    image_shape,
    in_either_layout,
    random_array,
    run,
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


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dynamic_sizes(rank: int, kind: str) -> None:
    x = keras.Input((*[None] * rank, 2))
    pooling, global_pooling = (getattr(L, f"{prefix}{kind}Pooling{rank}D") for prefix in ("", "Global"))
    outputs = [
        pooling(window, strides=strides, padding=padding)(x)
        for window, strides in ((3, 2), (1, 2), (2, 1), (2, 3))
        for padding in ("valid", "same")
    ]
    model = keras.Model(x, [*outputs, global_pooling()(x), global_pooling(keepdims=True)(x)])
    conversion = convert(model, Options(route="direct"))
    for size in (6, 7):
        array = random_array(2, *[size] * rank, 2)
        for got, want in zip(run(conversion, array), model(array), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("rank", [1, 3])
def test_sequences_and_volumes(rank: int, data_format: str) -> None:
    x = keras.Input((5, 6, 7, 4)[3 - rank :])
    outputs = [
        getattr(L, f"{kind}Pooling{rank}D")(*arguments, data_format=data_format)(x)
        for kind, arguments in (("Max", [2]), ("Average", [2]), ("GlobalMax", []), ("GlobalAverage", []))
    ]
    converted(keras.Model(x, outputs))


@in_either_layout
def test_operation(channels_first: bool) -> None:
    check_operation(
        lambda x: ops.max_pool(x, 2, padding="same") - ops.average_pool(x, 2, padding="same"), channels_first
    )
