"""What the tests of the layers share: random weights, and a round trip through a file."""

from pathlib import Path
from typing import Any

import keras
import numpy as np


def randomized(layer: Any, channels: int, rank: int = 4, seed: int = 0) -> Any:
    """The layer, built, with random weights; variances and steps are positive."""
    layer.build((None, *[None] * (rank - 2), channels))
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        positive = weight.name in ("gamma", "moving_variance", "alpha")
        if weight.name != "step":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(size=weight.shape))
    return layer


def saved_and_loaded(layer: Any, shape: tuple[int, ...], folder: Path) -> Any:
    """The layer after a round trip through a .keras file."""
    model = keras.Sequential([keras.Input(shape, dtype=layer.compute_dtype), layer])
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras").layers[-1]
    assert loaded.get_config() == layer.get_config()
    for one, two in zip(layer.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one, two)
    return loaded


def images(*shape: int, seed: int = 1, mean: float = 2.0) -> np.ndarray:
    """Random values in float64 with a mean and a deviation of their own for each channel."""
    rng = np.random.default_rng(seed)
    channels = shape[-1]
    return rng.normal(size=shape) * rng.uniform(0.5, 3, channels) + rng.normal(mean, 1, channels)
