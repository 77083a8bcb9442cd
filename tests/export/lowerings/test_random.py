"""Layers that act at random in training only."""

from typing import Any

import keras
import pytest

from export.errors import UserError
from export.lowerings.random import AUGMENTATION
from tests.export.helpers import converted, functional, kinds

L = keras.layers
ARGUMENTS: dict[str, dict[str, Any]] = {
    "RandomColorJitter": {"brightness_factor": 0.2, "hue_factor": 0.2},
    "RandomShear": {"x_factor": 0.2},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomZoom": {"height_factor": 0.2},
    **{
        name: {"factor": 0.5}
        for name in (
            *("RandomBrightness", "RandomColorDegeneration", "RandomContrast", "RandomHue"),
            *("RandomRotation", "RandomSaturation", "RandomSharpness"),
        )
    },
    "RandomPosterization": {"factor": 4},
}


def test_layers_that_act_only_in_training_write_no_nodes() -> None:
    layers = [
        *(L.Dropout(0.5), L.SpatialDropout2D(0.5), L.GaussianDropout(0.5), L.GaussianNoise(0.5)),
        *(L.AlphaDropout(0.5), L.ActivityRegularization(0.1), L.Identity()),
    ]
    conversion = converted(functional((5, 6, 4), *layers, L.Activation("tanh")))
    assert kinds(conversion) == ["Tanh"]


def test_augmentation_layers_write_no_nodes() -> None:
    # Keras can't use Equalization in a Functional model, and the other two take labels as well.
    others = ("Equalization", "CutMix", "MixUp")
    images_alone = [kind for kind in AUGMENTATION if kind.__name__ not in others]
    layers = [kind(**ARGUMENTS.get(kind.__name__, {})) for kind in images_alone]
    assert kinds(converted(functional((5, 6, 3), *layers, L.Activation("tanh")))) == ["Tanh"]


@pytest.mark.parametrize("name", ["CutMix", "MixUp", "RandomFlip"])
def test_augmentation_of_images_and_labels(name: str) -> None:
    if not hasattr(L, name):
        pytest.skip(f"this version of Keras has no {name}")
    images, labels = keras.Input((5, 6, 3)), keras.Input((4,))
    outputs = getattr(L, name)()({"images": images, "labels": labels})
    model = keras.Model([images, labels], [L.Activation("tanh")(outputs["images"]), outputs["labels"]])
    assert sorted(kinds(converted(model))) == ["Identity", "Tanh"]


def test_pipeline() -> None:
    pipeline = L.Pipeline([L.RandomFlip(), L.Rescaling(0.5)])
    assert kinds(converted(functional((5, 6, 3), pipeline, L.Activation("tanh")))) == ["Mul", "Tanh"]


def test_random_operation_is_unsupported() -> None:
    if not hasattr(keras.ops.image, "elastic_transform"):
        pytest.skip("this version of Keras has no elastic_transform")
    x = keras.Input((5, 6, 3))
    with pytest.raises(UserError, match="a random transform, which differs from call to call"):
        converted(keras.Model(x, keras.ops.image.elastic_transform(x)))
