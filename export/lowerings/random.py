"""Layers that act at random in training and pass their input on in inference."""

from __future__ import annotations

from typing import Any

import keras

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import cast
from export.lowerings.registry import register_lowering, register_operation

layers = keras.layers

DROPOUT = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.AlphaDropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
)
# Augmentation, which takes images alone, or a dict of images, labels, bounding boxes and masks.
AUGMENTATION = [
    getattr(layers, name)
    for name in (
        *("AugMix", "CutMix", "Equalization", "MixUp", "RandAugment", "RandomBrightness"),
        *("RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomElasticTransform"),
        *(
            "RandomErasing",
            "RandomFlip",
            "RandomGaussianBlur",
            "RandomGrayscale",
            "RandomHue",
            "RandomInvert",
        ),
        *(
            "RandomPerspective",
            "RandomPosterization",
            "RandomRotation",
            "RandomSaturation",
            "RandomSharpness",
        ),
        *("RandomShear", "RandomTranslation", "RandomZoom", "Solarization"),
    )
    if hasattr(layers, name)  # older versions of Keras don't have all of them
]


@register_lowering(*DROPOUT, *AUGMENTATION, any_layout=True)
def lower_random(g: Builder, layer: keras.layers.Layer, inputs: Any) -> Any:
    """The input, as floats."""
    tensors = zip(keras.tree.flatten(inputs), g.output_dtypes, strict=True)
    return [g.like(x, cast(g, x, dtype), dtype=dtype) for x, dtype in tensors]


@register_operation("elastic_transform", optional=True)
def lower_elastic_transform(g: Builder, operation: keras.Operation, images: Tensor) -> Tensor:
    """Random in inference too."""
    raise Unsupported("a random transform, which differs from call to call")
