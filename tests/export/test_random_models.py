"""Random stacks of supported layers with random weights, built by hypothesis."""

from typing import Any

import keras
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.export.helpers import converted, randomize

L = keras.layers

NORMS: list[Any] = [
    lambda: L.BatchNormalization(epsilon=0.1),
    lambda: L.GroupNormalization(1, epsilon=0.1),
    lambda: L.GroupNormalization(2, epsilon=0.1),
    lambda: L.GroupNormalization(-1, epsilon=0.1),
    lambda: L.LayerNormalization(epsilon=0.1),
    lambda: L.LayerNormalization(axis=(1, 2, 3), epsilon=0.1),
    lambda: L.UnitNormalization(axis=(1, 2, 3)),
]
POINTWISE: list[Any] = [
    *(lambda name=name: L.Activation(name) for name in ("relu", "gelu", "silu", "tanh", "hard_sigmoid")),
    lambda: L.Dropout(0.3),
    lambda: L.Rescaling(0.5, 0.25),
    lambda: L.LeakyReLU(),
]
CONVOLUTIONS: list[Any] = [
    lambda: L.Conv2D(4, 3),
    lambda: L.Conv2D(4, 3, padding="same", activation="relu"),
    lambda: L.Conv2D(4, 2, strides=2, padding="same", use_bias=False),
    lambda: L.Conv2D(4, 1),
    lambda: L.DepthwiseConv2D(3, padding="same"),
    lambda: L.SeparableConv2D(4, 3, padding="same"),
    lambda: L.Dense(4),
    lambda: L.ZeroPadding2D(1),
    lambda: L.UpSampling2D(2),
    lambda: L.MaxPooling2D(2, padding="same"),
    lambda: L.AveragePooling2D(2, padding="same"),
]
layers = st.one_of(st.sampled_from(NORMS), st.sampled_from(POINTWISE), st.sampled_from(CONVOLUTIONS))


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    stack=st.lists(layers, min_size=3, max_size=9),
    skip=st.booleans(),
    flat=st.booleans(),
    channels=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 1000),
)
def test_random_stack(stack: list[Any], skip: bool, flat: bool, channels: int, seed: int) -> None:
    inputs = keras.Input((9, 8, channels))
    x = start = L.Conv2D(4, 3, padding="same")(inputs)
    for make in stack:
        layer = make()
        # After several 3x3 convolutions the image may be too small for another one.
        if isinstance(layer, L.Conv2D) and layer.padding == "valid" and min(x.shape[1:3]) < 3:
            continue
        if isinstance(layer, L.UpSampling2D) and max(x.shape[1:3]) > 16:
            continue
        x = layer(x)
        if skip and x.shape == start.shape:
            x = L.Add()([x, start])
    x = L.Flatten()(x) if flat else L.GlobalAveragePooling2D()(x)
    outputs = L.Dense(3, activation="softmax")(L.BatchNormalization()(x))
    converted(randomize(keras.Model(inputs, outputs), seed))
