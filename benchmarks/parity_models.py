"""The right models that benchmarks/parity_faults.py spoils, and inputs of each that the parity check doesn't draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

Inputs = list[np.ndarray]
L = keras.layers


@dataclass(frozen=True)
class Case:
    """A model and inputs that tell whether a fault matters.

    Attributes:
        model: the model.
        inputs: batches of inputs: real ones where there are any, otherwise random ones.
        data: other inputs of the kind, as a user would give them to the check.
        input_range: the range that a user would give, where no layer of the model tells it.
    """

    model: keras.Model
    inputs: list[Inputs]
    data: Inputs
    input_range: tuple[float, float] | None = None


def trained(norm: str, saturated: bool = False) -> Case:
    """The study's network after an epoch on 20,000 images of MNIST; saturated: logits 200 times as large."""
    from kerasnorm import build_cnn, load_data

    data = load_data("mnist")
    keras.utils.set_random_seed(0)
    model = build_cnn(norm)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(data.x_train[:20000], data.y_train[:20000], batch_size=128, epochs=1, verbose=0)
    if saturated:
        kernel = next(w for w in reversed(model.weights) if "kernel" in w.name)
        kernel.assign(kernel * 200)
    images = data.x_test.reshape(-1, 28, 28, 1).astype("float32")
    return Case(model, [[images[:1]], [images[1:257]]], [images[1000:3000]])


def of_layers(model: keras.Model, draw: Callable[[np.random.Generator, int], Inputs], seed: int = 0) -> Case:
    """A model with random biases, gammas and statistics, and random inputs of two batch sizes."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif weight.name in ("beta", "bias", "moving_mean"):
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return Case(model, [draw(rng, 1), draw(rng, 100)], draw(rng, 1000))


def smooth_images(rng: np.random.Generator, count: int, size: int, channels: int, top: float) -> np.ndarray:
    """Images of a few waves each: natural images are smooth, noise is not."""
    y, x = np.mgrid[:size, :size] / size * 2 * np.pi
    wave = rng.normal(size=(count, 4, 3, channels))
    phases = wave[:, :, 0, None, None] * 2 * y[:, :, None] + wave[:, :, 1, None, None] * 2 * x[:, :, None]
    image = np.sum(np.sin(phases + 9 * wave[:, :, 2, None, None]), axis=1) / 8 + 0.5
    return (top * np.clip(image, 0, 1)).astype(np.float32)


def thousand_classes() -> Case:
    """A residual network with batch normalization and 1,000 classes."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((32, 32, 3), name="image")
    x = L.Rescaling(1 / 127.5, -1)(x)
    for filters in (16, 32, 64):
        x = L.ReLU()(
            L.BatchNormalization()(L.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x))
        )
        y = L.ReLU()(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
        x = L.Add()([x, L.BatchNormalization()(L.Conv2D(filters, 1)(y))])
    outputs = L.Dense(1000, activation="softmax")(L.GlobalAveragePooling2D()(x))
    return of_layers(keras.Model(inputs, outputs), lambda rng, n: [smooth_images(rng, n, 32, 3, 255.0)])


def vision_transformer() -> Case:
    """Patches, two blocks of attention, 10 classes."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((32, 32, 3), name="image")
    x = L.Reshape((64, 32))(L.Conv2D(32, 4, strides=4)(inputs))
    for _ in range(2):
        y = L.LayerNormalization(epsilon=1e-6)(x)
        x = L.Add()([x, L.MultiHeadAttention(4, 8)(y, y)])
        y = L.Dense(64, activation="gelu")(L.LayerNormalization(epsilon=1e-6)(x))
        x = L.Add()([x, L.Dense(32)(y)])
    x = L.GlobalAveragePooling1D()(L.LayerNormalization(epsilon=1e-6)(x))
    outputs = L.Dense(10, activation="softmax")(x)
    return of_layers(keras.Model(inputs, outputs), lambda rng, n: [smooth_images(rng, n, 32, 3, 1.0)])


def regression() -> Case:
    """Tabular data, normalized, to two numbers of size 1e4."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    table = rng.normal([10, -5, 100, 0, 1, 3], [3, 1, 40, 0.1, 1, 2], (500, 6)).astype("float32")
    normalization = L.Normalization()
    normalization.adapt(table)
    x = inputs = keras.Input((6,), name="row")
    x = normalization(x)
    for units in (32, 32):
        x = L.Dense(units, activation="relu")(x)
    outputs = L.Rescaling(1e4)(L.Dense(2)(x))
    case = of_layers(keras.Model(inputs, outputs), lambda rng, n: [table[rng.integers(0, 500, n)]])
    return case


def text() -> Case:
    """Token ids, an embedding, convolutions, two classes."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((40,), dtype="int32", name="ids")
    x = L.Embedding(1000, 16, embeddings_initializer="normal")(inputs)
    for _ in range(2):
        x = L.LayerNormalization()(L.Conv1D(24, 5, activation="relu", padding="same")(x))
    outputs = L.Dense(2, activation="softmax")(L.GlobalMaxPooling1D()(x))
    # Zipf's law, as in text: small ids are frequent.
    return of_layers(
        keras.Model(inputs, outputs), lambda rng, n: [np.minimum(rng.zipf(1.3, (n, 40)), 999).astype("int32")]
    )


def segmentation() -> Case:
    """A U-Net of dynamic sizes with a sigmoid for each pixel."""
    keras.utils.set_random_seed(5)
    x = inputs = keras.Input((None, None, 3), name="image")
    skips: list[Any] = []
    for filters in (8, 16):
        x = L.BatchNormalization()(L.Conv2D(filters, 3, padding="same", activation="relu")(x))
        skips.append(x)
        x = L.MaxPooling2D()(x)
    x = L.Conv2D(16, 3, padding="same", activation="relu")(x)
    for filters, skip in zip((16, 8), reversed(skips), strict=True):
        x = L.Concatenate()([L.UpSampling2D()(x), skip])
        x = L.BatchNormalization()(L.Conv2D(filters, 3, padding="same", activation="relu")(x))
    outputs = L.Conv2D(1, 1, activation="sigmoid")(x)
    case = of_layers(
        keras.Model(inputs, outputs), lambda rng, n: [smooth_images(rng, min(n, 50), 32, 3, 1.0)]
    )
    rng = np.random.default_rng(6)
    return Case(case.model, [*case.inputs, [smooth_images(rng, 2, 48, 3, 1.0)]], case.data)


def group_features() -> Case:
    """Group normalization without a softmax, with inputs of both signs."""
    keras.utils.set_random_seed(7)
    x = inputs = keras.Input((16, 16, 4), name="field")
    for filters in (8, 16):
        x = L.GroupNormalization(4)(L.Conv2D(filters, 3, padding="same", activation="silu")(x))
        x = L.AveragePooling2D(2)(x)
    outputs = L.Dense(5, activation="tanh")(L.Flatten()(x))
    case = of_layers(
        keras.Model(inputs, outputs), lambda rng, n: [rng.normal(0, 1, (n, 16, 16, 4)).astype("float32")]
    )
    return replace(case, input_range=(-4.0, 4.0))


def recurrent() -> Case:
    """Token ids with padding, through masked LSTMs in both directions and a GRU."""
    keras.utils.set_random_seed(8)
    inputs = keras.Input((30,), dtype="int32", name="ids")
    x = L.Embedding(200, 16, mask_zero=True, embeddings_initializer="normal")(inputs)
    x = L.Bidirectional(L.LSTM(12, return_sequences=True))(x)
    outputs = L.Dense(3, activation="softmax")(L.GRU(16)(x))

    def padded(rng: np.random.Generator, count: int) -> Inputs:
        lengths = rng.integers(5, 31, (count, 1))
        ids = rng.integers(1, 200, (count, 30))
        return [np.where(np.arange(30) < lengths, ids, 0).astype("int32")]

    return of_layers(keras.Model(inputs, outputs), padded)


CASES: dict[str, Callable[[], Case]] = {
    "bn, trained": lambda: trained("bn"),
    "ln, trained": lambda: trained("ln"),
    "gn, trained": lambda: trained("gn"),
    "bn, saturated softmax": lambda: trained("bn", saturated=True),
    "1,000 classes": thousand_classes,
    "vision transformer": vision_transformer,
    "regression, size 1e4": regression,
    "text, 1,000 ids": text,
    "segmentation, dynamic sizes": segmentation,
    "group normalization, tanh": group_features,
    "recurrent, masked": recurrent,
}
