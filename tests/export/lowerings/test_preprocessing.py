"""Layers that scale numbers, against Keras."""

import keras
import numpy as np
import pytest

from export.errors import UserError
from tests.export.helpers import converted, functional

L = keras.layers


@pytest.mark.parametrize("invert", [False, True])
def test_normalization(invert: bool) -> None:
    layer = L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 0.25], invert=invert)
    converted(functional((5, 6, 3), layer, L.Activation("tanh")))


def test_rescaling() -> None:
    converted(functional((5, 6, 3), L.Rescaling(0.5, offset=-1.0), L.Activation("tanh")))
    converted(
        functional((5, 6, 3), L.Rescaling([0.5, 2.0, 1.0], offset=[1.0, 0.0, 2.0]), L.Activation("tanh"))
    )


def test_normalization_along_several_axes_is_unsupported() -> None:
    layer = L.Normalization(axis=(1, 2))
    layer.adapt(np.random.default_rng(0).normal(size=(8, 5, 3)))
    with pytest.raises(UserError, match=r"a normalization along several axes \[1, 2\]"):
        converted(functional((5, 3), layer))


def test_rescaling_by_an_image_is_unsupported() -> None:
    layer = L.Rescaling(np.ones((6, 3), np.float32), offset=1.0)
    with pytest.raises(
        UserError, match=r"a scale or an offset of more than one axis \(shapes \(6, 3\), \(\)\)"
    ):
        converted(functional((5, 6, 3), layer))
