"""Layers that scale numbers, against Keras."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L

from tests.export.helpers import compare, converted, functional, kinds

X = np.random.default_rng(0).normal(size=(3, 4, 5, 3)).astype("float32")
AXES: list[Any] = [-1, 1, (1, 3), (1, 2, 3), None]


@pytest.mark.parametrize("invert", [False, True])
def test_normalization_can_be_folded(invert: bool) -> None:
    layer = L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 0.25], invert=invert)
    assert kinds(converted(functional((5, 6, 3), layer, L.Conv2D(2, 3)))).count("Conv") == 1


def test_normalization_along_any_axes() -> None:
    adapted, inverse = {}, {}
    for axis in AXES:
        adapted[f"axis={axis}"] = layer = L.Normalization(axis=axis)
        layer.adapt(2 + 3 * np.random.default_rng(1).normal(size=(8, 4, 5, 3)))
        mean, variance = (np.asarray(x).squeeze() for x in (layer.mean, layer.variance))
        inverse[f"inverse, axis={axis}"] = L.Normalization(axis, mean=mean, variance=variance, invert=True)
    compare({**adapted, **inverse}, X, rtol=1e-4, atol=1e-5)


def test_rescaling() -> None:
    compare(
        {
            "numbers": L.Rescaling(0.5, offset=-1.0),
            "channels": L.Rescaling([0.5, 2.0, 1.0], offset=[1.0, 0.0, 2.0]),
            "rows": L.Rescaling(np.arange(5.0).reshape(5, 1), offset=1.0),
            "an image": L.Rescaling(np.arange(15.0).reshape(5, 3), offset=[1.0, 2.0, 3.0]),
        },
        X,
    )


def test_rescaling_of_any_length() -> None:
    converted(functional((None, None), L.Rescaling(0.5, offset=-1.0)), sizes=None)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float16", "bool"]
)
def test_inputs_of_any_dtype(dtype: str) -> None:
    """The graph takes what Keras takes, and what is passed on keeps its dtype."""
    numbers = np.random.default_rng(2).integers(0, 100, (3, 6, 6, 3)).astype(dtype)
    compare(
        {
            "rescaled": keras.Sequential([L.Rescaling(1 / 99), L.Conv2D(2, 3)]),
            "normalized": L.Normalization(mean=0.3, variance=2.0),
            "dense": L.Dense(4),
            "passed on": L.Flatten(dtype="float32"),
        },
        numbers,
        rtol=1e-3,
        atol=1e-4,
    )
