from typing import Any

import keras
import numpy as np
import pytest

from export.keras2.packages import ContribInstanceNormalization, LayerScale
from tests.export.helpers import converted, functional


@pytest.mark.parametrize("axis", [None, -1, 3, 1])
def test_instance_normalization_follows_the_formula(axis: int | None) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (2, 4, 5, 6)).astype(np.float32)
    layer = ContribInstanceNormalization(axis=axis, epsilon=0.1, beta_initializer=None)
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    kept = None if axis is None else axis % 4
    axes = tuple(one for one in (1, 2, 3) if one != kept)
    shape = [-1 if one == kept else 1 for one in range(4)]
    gamma, beta = (np.asarray(weight).reshape(shape) for weight in layer.weights)
    y = (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + 0.1) * gamma + beta
    np.testing.assert_allclose(layer(x), y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        ContribInstanceNormalization(),
        ContribInstanceNormalization(axis=-1, center=False),
        ContribInstanceNormalization(axis=-1, scale=False),
        LayerScale(1e-3, 3),
    ],
)
def test_layers_are_exported_and_saved(layer: Any) -> None:
    assert converted(functional((6, 7, 3), layer)).route == "direct"
    config = keras.saving.serialize_keras_object(layer)
    assert keras.saving.deserialize_keras_object(config).get_config() == layer.get_config()
