"""Layers that act at random in training only."""

import keras
import pytest

from tests.export.helpers import converted, functional, kinds

L = keras.layers


def test_layers_that_act_only_in_training_write_no_nodes() -> None:
    layers = [
        *(L.Dropout(0.5), L.SpatialDropout2D(0.5), L.GaussianDropout(0.5), L.GaussianNoise(0.5)),
        *(L.AlphaDropout(0.5), L.ActivityRegularization(0.1), L.Identity()),
    ]
    conversion = converted(functional((5, 6, 4), *layers, L.Activation("tanh")))
    assert kinds(conversion) == ["Tanh"]


@pytest.mark.parametrize(
    "layer",
    [
        L.RandomBrightness(0.2),
        L.RandomContrast(0.2),
        L.RandomFlip(),
        L.RandomRotation(0.1),
        L.RandomTranslation(0.1, 0.1),
        L.RandomZoom(0.1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_augmentation_layers_write_no_nodes(layer: keras.layers.Layer) -> None:
    assert kinds(converted(functional((5, 6, 3), layer, L.Activation("tanh")))) == ["Tanh"]
