"""Save models as tf_keras does, with inputs and the outputs that it computes.

This needs TensorFlow and tf_keras, and so an environment of its own:

    python3 -m venv old && old/bin/pip install tensorflow tf_keras
    old/bin/python tests/keras2/save_models.py FOLDER

NAME.npz holds the inputs and outputs. Models of functions of TensorFlow have no weights; their configurations are in
the same file, as JSON.
"""

import json
import os
import sys
from pathlib import Path

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3")

import numpy as np
import tensorflow as tf

keras = tf.keras
layers = keras.layers


def math():
    x, y = keras.Input((4, 3), name="x"), keras.Input((4, 3), name="y")
    i = keras.Input((4,), dtype="int32", name="i")
    p = tf.abs(y) + 0.5
    outputs = [
        *(f(x) for f in (tf.exp, tf.math.expm1, tf.sin, tf.cos, tf.tan, tf.atan, tf.tanh, tf.math.erf, tf.sinh)),
        *(f(x) for f in (tf.floor, tf.math.ceil, tf.round, tf.sign, tf.square, tf.negative, tf.asinh, tf.cosh)),
        *(f(p) for f in (tf.sqrt, tf.math.rsqrt, tf.math.log, tf.math.log1p, tf.math.reciprocal)),
        *(f(x) for f in (tf.nn.relu, tf.nn.relu6, tf.nn.elu, tf.nn.selu, tf.nn.silu, tf.nn.softplus, tf.nn.softsign)),
        *(f(x) for f in (tf.nn.sigmoid, tf.nn.gelu, tf.nn.leaky_relu, tf.nn.softmax, tf.nn.log_softmax)),
        tf.nn.gelu(x, approximate=True), tf.nn.leaky_relu(x, alpha=0.3), tf.nn.softmax(x, axis=1), tf.nn.swish(x),
        x + y, x - y, x * y, x / p, p**y, x // p, x % p, -x, abs(x), 1 - x, 2 / p, 3 * x, 2**x,
        tf.maximum(x, y), tf.minimum(x, 0.2), tf.math.squared_difference(x, y), tf.atan2(x, y),
        tf.math.divide_no_nan(x, y), tf.add(x, [1.0, 2.0, 3.0]), tf.subtract([1.0, 2.0, 3.0], x),
        x > y, x <= y, tf.equal(x, y), tf.not_equal(x, y), tf.logical_and(x > 0, y > 0), tf.logical_or(x > 0, y > 0),
        tf.logical_not(x > 0), (x > 0) & (y > 0), ~(x > 0),
        tf.reduce_mean(x), tf.reduce_mean(x, axis=[1, 2], keepdims=True), tf.reduce_sum(x, 1), tf.reduce_max(x, -1),
        tf.reduce_min(x, axis=2), tf.reduce_prod(x, axis=1), tf.math.reduce_std(x, axis=1), tf.reduce_any(x > 1, 1),
        tf.math.reduce_variance(x, axis=1), tf.reduce_all(x > 0, axis=2), tf.math.reduce_logsumexp(x, axis=1),
        tf.argmax(x, axis=2), tf.argmin(x, axis=-1, output_type=tf.int32), tf.cumsum(x, axis=1),
        tf.cast(x, tf.int32), tf.cast(i, tf.float32), tf.clip_by_value(x, -0.5, 0.5), tf.norm(x, axis=1),
        tf.math.l2_normalize(x, axis=-1), *tf.nn.moments(x, [1]), tf.reduce_sum([x, y], axis=0),
        tf.nn.batch_normalization(x, tf.reduce_min(y, 0), tf.reduce_mean(p, 0), None, tf.reduce_max(y, 0), 1e-3),
        x @ tf.transpose(y, [0, 2, 1]), tf.matmul(x, y, transpose_b=True), tf.matmul(x, y, transpose_a=True),
        tf.tensordot(x, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], axes=1), i + 2, i * i, i // 2, i % 3,
        keras.backend.mean(x, axis=1), keras.backend.clip(x, 0.1, 0.3), keras.backend.l2_normalize(x, 1),
        keras.backend.sigmoid(x), keras.backend.square(x), keras.backend.batch_dot(x, y, axes=2),
    ]  # fmt: skip
    return keras.Model([x, y, i], outputs)


def arrays():
    x, y = keras.Input((4, 6), name="x"), keras.Input((4, 6), name="y")
    i = keras.Input((4,), dtype="int32", name="i")
    outputs = [
        tf.reshape(x, [-1, 3, 8]), tf.reshape(x, (-1, 24)), tf.transpose(x, [0, 2, 1]), tf.expand_dims(x, 1),
        tf.squeeze(x[:, :1], axis=1), tf.squeeze(x[:, :1], [1]), tf.concat([x, y], 1), tf.concat([x, y, x], axis=-1),
        tf.stack([x, y], axis=2), *tf.split(x, 2, axis=1), *tf.split(x, [1, 2, -1], axis=2), *tf.unstack(x, axis=1),
        tf.tile(x, [1, 2, 3]), tf.repeat(x, 2, axis=1), tf.roll(x, 1, axis=2), tf.reverse(x, [1]),
        tf.pad(x, [[0, 0], [1, 2], [0, 1]]), tf.pad(x, [[0, 0], [1, 2], [0, 1]], constant_values=2.5),
        tf.pad(x, [[0, 0], [1, 1], [2, 2]], mode="REFLECT"), tf.pad(x, [[0, 0], [1, 1], [2, 2]], "SYMMETRIC"),
        tf.gather(x, [2, 0], axis=1), tf.gather(x, [5, 1, 1], axis=-1), tf.where(x > 0, x, y), tf.where(x > 0, x, 0.5),
        tf.one_hot(i, 5), tf.one_hot(i, 4, on_value=2.0, off_value=-1.0), tf.zeros_like(x), tf.ones_like(i),
        tf.identity(x), tf.stop_gradient(x), tf.gather([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], tf.math.mod(i, 3)),
        *tf.math.top_k(x, 2), tf.broadcast_to(x[:1], [3, 4, 6]), tf.fill([2, 3], tf.reduce_mean(x)),
        x[:, 1], x[:, -1, 2:], x[:, ::2, ::-1], x[:, tf.newaxis, :, 1:3], x[0], x[:, 1:-1], x[:, :, None, 0],
        keras.backend.permute_dimensions(x, (0, 2, 1)), keras.backend.concatenate([x, y], axis=1),
        keras.backend.expand_dims(x), keras.backend.flatten(x)[:3], keras.backend.repeat_elements(x, 2, axis=1),
    ]  # fmt: skip
    return keras.Model([x, y, i], outputs)


def images():
    x = keras.Input((6, 8, 4), name="x")
    kernel = np.random.default_rng(0).normal(size=(3, 2, 4, 2)).round(2).tolist()
    outputs = [
        tf.image.resize(x, (12, 4)), tf.image.resize(x, [3, 5], method="nearest"),
        tf.image.resize(x, (5, 7), "bicubic"),
        tf.image.resize(x, (3, 3), antialias=True), tf.image.rgb_to_grayscale(x[..., :3]),
        tf.image.flip_left_right(x), tf.image.flip_up_down(x),
        tf.nn.max_pool2d(x, 2, 2, "VALID"), tf.nn.avg_pool2d(x, [3, 2], [1, 2], "SAME"),
        tf.nn.avg_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "SAME"), tf.nn.max_pool2d(x, 3, 2, "SAME"),
        tf.nn.conv2d(x, kernel, 1, "SAME"), tf.nn.conv2d(x, kernel, [1, 2, 1, 1], "VALID"),
        tf.nn.conv2d(x, kernel, 1, "SAME", dilations=2), tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME"),
        tf.nn.bias_add(x, [0.1, 0.2, 0.3, 0.4]), tf.nn.depth_to_space(x, 2), tf.nn.space_to_depth(x, 2),
        tf.image.extract_patches(x, [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID"),
        tf.image.extract_patches(x, [1, 3, 3, 1], [1, 1, 1, 1], [1, 1, 1, 1], "SAME"),
        keras.backend.resize_images(x, 2, 2, "channels_last"), keras.backend.spatial_2d_padding(x),
        keras.backend.pool2d(x, (2, 2)),
    ]  # fmt: skip
    return keras.Model(x, outputs)


def sizes():
    """Sizes of dynamic dimensions, and calculations with them."""
    x, small = keras.Input((None, None, 4), name="x"), keras.Input((None, None, 4), name="small")
    shape = tf.shape(x)
    batch, height, width = shape[0], shape[1], tf.shape(x)[2]
    outputs = [
        tf.reshape(x, [batch, height * width, 4]), tf.reshape(x, [batch, -1, 4]), tf.reshape(x, [-1, width, 4]),
        tf.reshape(x, tf.stack([batch, height, width, 2, 2])), tf.reshape(x, tf.concat([shape[:-1], [2, 2]], 0)),
        tf.image.resize(small, shape[1:3]), tf.image.resize(small, (height // 2, width * 2), method="nearest"),
        x[:, : height // 2, 1 : width - 1], tf.nn.depth_to_space(x, 2), tf.broadcast_to(small[:, :1, :1], shape),
        tf.ones([batch, height, 2]), tf.zeros((batch, 3)), tf.fill([batch, width], 0.5),
        tf.tile(small[:, :1], [1, height, 1, 1]), tf.pad(x, [[0, 0], [0, height], [1, 0], [0, 0]]),
        tf.reshape(x, [tf.reduce_prod(shape), 1]), tf.image.resize(small, shape[1:-1] * 2),
    ]  # fmt: skip
    return keras.Model([x, small], outputs)


def order():
    """Names with a slash, layers whose order changes with the functions between them, a frozen part, a shared layer."""
    image = keras.Input((6, 6, 2), name="image")
    inner_x = keras.Input((6, 6, 3))
    y = layers.Conv2D(3, 3, padding="same", name="block/conv")(inner_x)
    z = layers.Conv2D(3, 3, padding="same", name="other")(tf.nn.relu(tf.abs(inner_x) * 0.5 - 0.1))
    y = layers.BatchNormalization(name="block/bn", axis=[3])(y)
    inner = keras.Model(
        inner_x, layers.Add()([layers.Conv2D(3, 1)(y), layers.LeakyReLU(0.1)(z)]), name="inner"
    )
    inner.get_layer("other").trainable = False
    first = layers.Conv2D(3, 1, name="first")
    x = layers.Concatenate()([first(image), first(image * 2.0), layers.Conv2D(3, 1)(image)])
    a, b, c = tf.split(x, 3, axis=-1)
    x = layers.Add()([inner(a), inner(b), c])
    x = layers.TimeDistributed(keras.Sequential([layers.Dense(4), layers.Dense(3)]))(x)
    x = layers.DepthwiseConv2D(2)(layers.ThresholdedReLU(0.1)(x))
    x = layers.Dense(2, name="multiply")(layers.GlobalAveragePooling2D()(x) * 3)
    return keras.Model(image, x)


def recurrent():
    """hard_sigmoid, whose slope has changed; a GRU that resets first; states; a mask."""
    ids = keras.Input((5,), name="ids")
    x = layers.Embedding(9, 4, mask_zero=True)(ids)
    x, h, c = layers.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True, return_state=True)(x)
    x = layers.LSTM(3, return_sequences=True)(x, initial_state=[h, c])
    x = layers.Bidirectional(layers.GRU(2, recurrent_activation="hard_sigmoid", reset_after=False))(x)
    return keras.Model(ids, layers.Dense(2, activation="hard_sigmoid")(x))


def branches():
    """Three inputs, a constant first argument, a mask as a keyword, outputs as a dict."""
    inputs = [keras.Input((3, 4), name=name) for name in ("a", "b", "c")]
    normalize = layers.Normalization()
    normalize.adapt(np.random.default_rng(0).normal(2, 3, (50, 3, 4)))
    x = layers.Add()([normalize(inputs[0]), *inputs[1:]])
    mask = tf.cast(tf.ones_like(x[:, :, 0]) > 0, "bool")[:, tf.newaxis]
    y = layers.MultiHeadAttention(2, 3)(x, inputs[1], attention_mask=mask)
    y = layers.LayerNormalization(axis=[-1])(1.0 - y)
    return keras.Model(inputs, {"y": layers.Dense(2, "swish")(y), "a": layers.Dot(1)([x, y])})


def lambdas():
    x = keras.Input((4,))
    y = layers.Lambda(lambda v: v[:, :2] * 2)(x)
    return keras.Model(x, layers.Lambda(lambda v, by: v + by, arguments={"by": 3.0})(y))


FORMATS = {
    "order": (".h5", ".keras", "-saved"),
    "recurrent": (".h5",),
    "branches": (".keras",),
    "lambdas": (".h5",),
}


def arrays_for(model):
    rng = np.random.default_rng(7)
    found = []
    for tensor in model.inputs:
        shape = [2, *(size or number for size, number in zip(tensor.shape[1:], (6, 4, 4), strict=False))]
        if tensor.dtype == tf.int32:
            found.append(rng.integers(0, 4, shape).astype(np.int32))
        elif "ids" in tensor.name:
            found.append(np.array([[1, 4, 2, 0, 0], [3, 8, 5, 6, 7]], np.float32))
        else:
            found.append(rng.normal(size=shape).astype(np.float32))
    return found


def save(build, folder):
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    model = build()
    rng = np.random.default_rng(5)
    for weight in model.weights:
        if "count" not in weight.name and not weight.name.split("/")[0].startswith(("mean", "variance")):
            weight.assign(np.abs(rng.normal(0.3, 0.5, weight.shape)) + 0.1 * ("variance" in weight.name))
    inputs = arrays_for(model)
    outputs = model(inputs if len(inputs) > 1 else inputs[0])
    keys = sorted(outputs) if isinstance(outputs, dict) else []
    outputs = [outputs[key] for key in keys] if keys else tf.nest.flatten(outputs)
    # All outputs in one array: each array of an archive takes 250 bytes.
    outputs = [np.asarray(output) for output in outputs]
    arrays = {f"input{index}": value for index, value in enumerate(inputs)}
    arrays["outputs"] = np.concatenate([output.ravel().astype(np.float32) for output in outputs])
    shapes = [[str(output.dtype), *output.shape] for output in outputs]
    arrays["shapes"] = np.frombuffer(json.dumps(shapes).encode(), np.uint8)
    name = build.__name__
    for ending in FORMATS.get(name, ()):
        model.save(folder / f"{name}{ending}")
    if name not in FORMATS:
        arrays["config"] = np.frombuffer(model.to_json().encode(), np.uint8)
    np.savez_compressed(folder / f"{name}.npz", **arrays)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for build in (math, arrays, images, sizes, order, recurrent, branches, lambdas):
        save(build, out)
    (out / "order-saved/saved_model.pb").unlink()  # is not read
