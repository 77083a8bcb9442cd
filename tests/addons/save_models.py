"""Save models with layers of tensorflow-addons in every format, with inputs and outputs.

This needs TensorFlow 2.15 and tensorflow-addons 0.23, and so an environment of its own:

    python3.11 -m venv old && old/bin/pip install tensorflow-cpu==2.15.1 tensorflow-addons==0.23.0
    old/bin/python tests/addons/save_models.py FOLDER
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

keras = tf.keras
layers = keras.layers
addons = tfa.layers


def cnn():
    """Every normalization of tensorflow-addons, and stock layers between them."""
    image = keras.Input((12, 12, 3), name="image")
    x = addons.WeightNormalization(layers.Conv2D(8, 3, activation="relu"), data_init=False, name="wn")(image)
    x = addons.GroupNormalization(4, epsilon=1e-5, name="gn")(x)
    x = addons.SpectralNormalization(layers.Conv2D(6, 3, padding="same"), power_iterations=2)(x)
    x = layers.Dropout(0.1)(x)
    x = addons.InstanceNormalization()(x)
    y = addons.FilterResponseNormalization(learned_epsilon=True)(x)
    y = addons.FilterResponseNormalization(axis=[1, 2], epsilon=1e-4)(y)
    x = layers.Add()([x, y])
    x = layers.BatchNormalization()(x)
    x = layers.LayerNormalization(axis=[1, 2, 3])(x)
    x = addons.GroupNormalization(5, axis=1, center=False)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(4, activation="softmax")(x), name="cnn")


def nested():
    """A model within a model, called twice; two inputs and two outputs."""
    inner = keras.Sequential(
        [
            layers.InputLayer((6, 6, 4)),
            layers.Conv2D(4, 3, padding="same"),
            addons.GroupNormalization(2),
            addons.WeightNormalization(layers.Conv2D(4, 1)),
            addons.InstanceNormalization(scale=False),
        ],
        name="inner",
    )
    one, two = keras.Input((6, 6, 4), name="one"), keras.Input((6, 6, 4), name="two")
    a, b = inner(one), inner(two)
    both = layers.Concatenate()([a, b])
    sums = layers.GlobalMaxPooling2D()(both)
    return keras.Model([one, two], [addons.WeightNormalization(layers.Dense(3))(sums), both], name="nested")


def sequence():
    """Layers of sequences: an embedding, recurrent layers, group normalization without an image."""
    return keras.Sequential(
        [
            layers.InputLayer((7,), dtype="int32"),
            addons.SpectralNormalization(layers.Embedding(11, 8)),
            addons.WeightNormalization(layers.LSTM(6, return_sequences=True), data_init=False),
            addons.GroupNormalization(3),
            layers.GRU(5),
            addons.WeightNormalization(layers.Dense(3), data_init=False),
        ],
        name="sequence",
    )


def stock():
    """No layer of tensorflow-addons; Keras 3 can't read the .keras file of this model, either."""
    image = keras.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3)(image)
    x = layers.BatchNormalization(axis=[3])(x)
    x = layers.SeparableConv2D(5, 3)(x)
    x = layers.LayerNormalization()(x)
    return keras.Model(image, layers.Dense(2)(layers.Flatten()(x)), name="stock")


def save(model, folder, saved_model):
    """Save a model with random weights in every format, with inputs and outputs."""
    rng = np.random.default_rng(7)
    inputs = [
        rng.integers(0, 11, (3, *x.shape[1:])).astype(np.int32)
        if x.dtype == tf.int32
        else rng.normal(size=(3, *x.shape[1:])).astype(np.float32)
        for x in model.inputs
    ]
    given = inputs if len(inputs) > 1 else inputs[0]
    model(given)  # sets g of WeightNormalization, with data_init by these data
    for weight in model.weights:
        if weight.dtype == tf.bool:
            continue
        value = rng.normal(0.3, 0.5, weight.shape)
        weight.assign(np.abs(value) + 0.1 if "variance" in weight.name else value)
    outputs = model(given)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    model.save(folder / f"{model.name}.h5")
    model.save(folder / f"{model.name}.keras")
    if saved_model:
        model.save(folder / f"{model.name}-saved")
    arrays = {f"input{index}": value for index, value in enumerate(inputs)}
    arrays.update({f"output{index}": np.asarray(value) for index, value in enumerate(outputs)})
    np.savez_compressed(folder / f"{model.name}.npz", **arrays)


def save_gradients(folder):
    """Save the output and the gradients of GroupNormalization in float64."""
    rng = np.random.default_rng(3)
    arrays = {}
    for groups, channels in ((1, 16), (4, 16), (3, 12)):
        layer = addons.GroupNormalization(groups, epsilon=1e-5, dtype="float64")
        x = tf.constant(rng.normal(0.4, 2.0, (3, 5, 4, channels)))
        weight = tf.constant(rng.normal(size=x.shape))
        layer.build(x.shape)
        layer.gamma.assign(rng.normal(1, 0.5, channels))
        layer.beta.assign(rng.normal(0, 0.5, channels))
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
            loss = tf.reduce_sum(output * weight)
        sources = {"x": x, "gamma": layer.gamma, "beta": layer.beta}
        gradients = tape.gradient(loss, list(sources.values()))
        found = {**sources, "weight": weight, "output": output}
        found.update({f"d{name}": value for name, value in zip(sources, gradients, strict=True)})
        arrays.update({f"{groups}/{name}": value.numpy() for name, value in found.items()})
    np.savez_compressed(folder / "gradients.npz", **arrays)


def save_unknown(folder):
    """Save a model with a layer that export.keras2 doesn't know, and has to name in its error."""
    unknown = keras.Sequential([layers.InputLayer((4,)), layers.Dense(4), addons.Maxout(2)], name="maxout")
    unknown.save(folder / "maxout.h5")
    unknown.save(folder / "maxout.keras")


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for build in (cnn, nested, sequence, stock):
        tf.keras.utils.set_random_seed(1)
        # tensorflow-addons can't write a SavedModel of a recurrent layer with weight normalization.
        save(build(), out, saved_model=build is not sequence)
    save_gradients(out)
    save_unknown(out)
