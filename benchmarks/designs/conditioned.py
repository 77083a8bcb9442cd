"""Networks that other inputs steer: SPADE, AdaIN, modulated convolutions; spatial transformers, agents, detectors."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


class SPADE(layers.Layer):
    """Normalization whose scale and shift at each pixel come from a map."""

    def __init__(self, filters: int, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.conv = layers.Conv2D(16, 3, padding="same", activation="relu")
        self.conv_gamma = layers.Conv2D(filters, 3, padding="same")
        self.conv_beta = layers.Conv2D(filters, 3, padding="same")

    def build(self, input_shape: Any) -> None:
        """Note the size."""
        self.resize_shape = input_shape[1:3]

    def call(self, input_tensor: Any, raw_mask: Any) -> Any:
        """Normalize."""
        mask = ops.image.resize(raw_mask, self.resize_shape, interpolation="nearest")
        x = self.conv(mask)
        gamma = self.conv_gamma(x)
        beta = self.conv_beta(x)
        mean, var = ops.moments(input_tensor, axes=(0, 1, 2), keepdims=True)
        std = ops.sqrt(var + self.epsilon)
        return gamma * ((input_tensor - mean) / std) + beta


def gaugan() -> keras.Model:
    """GauGAN's generator. Its normalization takes the statistics of the batch, as the tutorial's."""
    latent, mask = keras.Input((16,)), keras.Input((32, 32, 4))
    x = layers.Reshape((8, 8, 8))(layers.Dense(512)(latent))
    for filters in (16, 8):
        y = layers.LeakyReLU(0.2)(SPADE(x.shape[-1])(x, mask))
        x = layers.Conv2D(filters, 3, padding="same")(y)
        x = layers.UpSampling2D((2, 2))(x)
    return keras.Model(
        [latent, mask], layers.Conv2D(3, 4, padding="same", activation="tanh")(layers.LeakyReLU(0.2)(x))
    )


@keras.saving.register_keras_serializable(package="designs")
def ada_in(style: Any, content: Any) -> Any:
    """The content with the mean and the deviation of the style."""

    def moments(x: Any) -> Any:
        mean, variance = ops.nn.moments(x, axes=[1, 2], keepdims=True)
        return mean, ops.sqrt(variance + 1e-5)

    content_mean, content_std = moments(content)
    style_mean, style_std = moments(style)
    return style_std * (content - content_mean) / content_std + style_mean


def style_transfer() -> keras.Model:
    """AdaIN between an encoder and a decoder, for images of any size."""
    content, style = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    convolutions = [layers.Conv2D(n, 3, 2, "same", activation="relu") for n in (16, 24)]
    encoder = keras.Sequential([keras.Input((None, None, 3)), *convolutions])
    x = ada_in(style=encoder(style), content=encoder(content))
    for filters in (16, 8):
        x = layers.UpSampling2D()(layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return keras.Model([content, style], layers.Conv2D(3, 3, padding="same")(x))


class ModulatedConv(layers.Layer):
    """A convolution whose kernel a style scales for each image, normalized again (StyleGAN 2)."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        channels, styles = input_shape[0][-1], input_shape[1][-1]
        self.kernel = self.add_weight(
            shape=(3, 3, channels, self.filters), initializer="he_normal", name="kernel"
        )
        self.affine = layers.Dense(channels, bias_initializer="ones")
        self.affine.build((None, styles))

    def call(self, inputs: Any) -> Any:
        """Scaled inputs through one kernel, and outputs scaled back."""
        x, style = inputs
        s = self.affine(style)
        y = ops.conv(x * s[:, None, None, :], self.kernel, padding="same")
        weights = ops.square(self.kernel[None] * s[:, None, None, :, None])
        demodulation = ops.rsqrt(ops.sum(weights, axis=[1, 2, 3]) + 1e-8)
        return y * demodulation[:, None, None, :]


def style_gan() -> keras.Model:
    """A StyleGAN: a mapping network, a trained constant, modulated convolutions and upsampling."""
    z = keras.Input((32,))
    w = z / ops.sqrt(ops.mean(ops.square(z), axis=-1, keepdims=True) + 1e-8)
    for _ in range(2):
        w = layers.LeakyReLU(negative_slope=0.2)(layers.Dense(32)(w))
    x = Constant(16)(w)
    for filters in (16, 12):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = layers.LeakyReLU(negative_slope=0.2)(ModulatedConv(filters)([x, w]))
    return keras.Model(z, layers.Conv2D(3, 1)(x))


class Constant(layers.Layer):
    """A trained map, the same for each row."""

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.constant = self.add_weight(
            shape=(1, 4, 4, channels), initializer="random_normal", name="constant"
        )

    def call(self, like: Any) -> Any:
        """Repeat."""
        return ops.repeat(self.constant, ops.shape(like)[0], axis=0)


class SpatialTransformer(layers.Layer):
    """An image sampled on a grid that a small network moves."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.localization = keras.Sequential(
            [
                layers.Conv2D(8, 5, 2, activation="relu"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(
                    6,
                    kernel_initializer="zeros",
                    bias_initializer=keras.initializers.Constant([1, 0, 0, 0, 1, 0]),
                ),
            ]
        )

    def call(self, images: Any) -> Any:
        """Sample."""
        batch, height, width, channels = ops.shape(images)
        theta = ops.reshape(self.localization(images), (-1, 2, 3))
        x, y = ops.meshgrid(ops.linspace(-1.0, 1.0, width), ops.linspace(-1.0, 1.0, height))
        grid = ops.stack([ops.reshape(x, (-1,)), ops.reshape(y, (-1,)), ops.ones((height * width,))])
        points = (ops.matmul(theta, grid) + 1.0) / 2.0
        xs = ops.clip(points[:, 0] * (width - 1), 0, width - 1)
        ys = ops.clip(points[:, 1] * (height - 1), 0, height - 1)
        x0, y0 = ops.floor(xs), ops.floor(ys)
        flat = ops.reshape(images, (batch, height * width, channels))

        def at(row: Any, column: Any) -> Any:
            row = ops.clip(row, 0, height - 1)
            column = ops.clip(column, 0, width - 1)
            index = ops.cast(row * width + column, "int32")
            return ops.take_along_axis(flat, index[..., None], axis=1)

        wx, wy = (xs - x0)[..., None], (ys - y0)[..., None]
        top = at(y0, x0) * (1 - wx) + at(y0, x0 + 1) * wx
        bottom = at(y0 + 1, x0) * (1 - wx) + at(y0 + 1, x0 + 1) * wx
        return ops.reshape(top * (1 - wy) + bottom * wy, (-1, height, width, channels))


def spatial_transformer() -> keras.Model:
    """A classifier behind a spatial transformer."""
    inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(16, 3, 2, activation="relu")(SpatialTransformer()(inputs))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def learnable_resizer() -> keras.Model:
    """A network that resizes images of any size for a classifier."""

    def conv_block(x: Any, filters: int, activation: Any = None) -> Any:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return activation(x) if activation else x

    inputs = layers.Input(shape=(None, None, 3))
    naive_resize = layers.Resizing(24, 24, interpolation="bilinear")(inputs)
    x = layers.Conv2D(filters=8, kernel_size=7, strides=1, padding="same")(inputs)
    x = layers.LeakyReLU(negative_slope=0.2)(x)
    x = layers.LeakyReLU(negative_slope=0.2)(layers.Conv2D(8, kernel_size=1, strides=1, padding="same")(x))
    x = layers.BatchNormalization()(x)
    x = bottleneck = layers.Resizing(24, 24, interpolation="bilinear")(x)
    x = layers.Add()([bottleneck, conv_block(x, 8, layers.LeakyReLU(negative_slope=0.2))])
    x = layers.Conv2D(filters=3, kernel_size=7, strides=1, padding="same")(x)
    return keras.Model(inputs, layers.Add()([naive_resize, x]), name="learnable_resizer")


def deep_q_network() -> keras.Model:
    """A Q-network over four frames, transposed by a Lambda layer."""
    return keras.Sequential(
        [
            layers.Input(shape=(4, 84, 84)),
            layers.Lambda(lambda tensor: keras.ops.transpose(tensor, [0, 2, 3, 1]), output_shape=(84, 84, 4)),
            layers.Conv2D(32, 8, strides=4, activation="relu"),
            layers.Conv2D(64, 4, strides=2, activation="relu"),
            layers.Conv2D(64, 3, strides=1, activation="relu"),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(4, activation="linear"),
        ]
    )


def actor_critic() -> keras.Model:
    """An actor and a critic on the same features; the action is the best one."""
    inputs = keras.Input((4,))
    common = layers.Dense(32, activation="relu")(inputs)
    logits = layers.Dense(2)(common)
    action = ops.argmax(logits, axis=-1)
    taken = ops.sum(ops.one_hot(action, 2) * ops.log_softmax(logits), axis=1)
    return keras.Model(inputs, {"action": action, "log_probability": taken, "value": layers.Dense(1)(common)})


class BoxDecoder(layers.Layer):
    """Boxes of a detector from its maps, whose grids depend on the size of the image."""

    def __init__(self, strides: Any = (8, 16), classes: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.strides = strides
        self.classes = classes

    def call(self, maps: Any) -> Any:
        """Boxes as corners, and the scores of the best ten."""
        boxes, scores = [], []
        for x, stride in zip(maps, self.strides, strict=True):
            shape = ops.shape(x)
            rows, columns = ops.meshgrid(ops.arange(shape[1]), ops.arange(shape[2]), indexing="ij")
            grid = ops.cast(ops.stack([columns, rows], axis=-1), x.dtype)
            center = (ops.sigmoid(x[..., :2]) + grid) * stride
            size = ops.exp(ops.clip(x[..., 2:4], -4, 4)) * stride
            corners = ops.concatenate([center - size / 2, center + size / 2], axis=-1)
            boxes.append(ops.reshape(corners, (shape[0], -1, 4)))
            scores.append(ops.reshape(ops.sigmoid(x[..., 4:]), (shape[0], -1, self.classes)))
        boxes, scores = ops.concatenate(boxes, axis=1), ops.concatenate(scores, axis=1)
        best, index = ops.top_k(ops.max(scores, axis=-1), 10)
        chosen = ops.take_along_axis(boxes, index[..., None], axis=1)
        return chosen, best, ops.take_along_axis(ops.argmax(scores, axis=-1), index, axis=1)


def detector() -> keras.Model:
    """A detector of one stage, with its boxes decoded within the model."""
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(16, 3, 4, "same", activation="silu")(inputs)
    x = layers.Conv2D(24, 3, 2, "same", activation="silu")(x)
    y = layers.Conv2D(32, 3, 2, "same", activation="silu")(x)
    outputs = BoxDecoder()([layers.Conv2D(8, 1)(x), layers.Conv2D(8, 1)(y)])
    return keras.Model(inputs, dict(zip(("boxes", "scores", "classes"), outputs, strict=True)))


class MinimalCell(layers.Layer):
    """A recurrent cell of one gate, as in Keras' guide."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.kernel = self.add_weight(shape=(input_shape[-1], 2 * self.units), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self.units, self.units), name="recurrent_kernel")

    def call(self, inputs: Any, states: Any) -> Any:
        """One step."""
        previous = states[0]
        gate, candidate = ops.split(ops.matmul(inputs, self.kernel), 2, axis=-1)
        gate = ops.sigmoid(gate + ops.matmul(previous, self.recurrent_kernel))
        output = gate * previous + (1 - gate) * ops.tanh(candidate)
        return output, [output]


def custom_cell() -> keras.Model:
    """A recurrent layer of custom cells, in both directions."""
    inputs = keras.Input((None, 8))
    x = layers.RNN(MinimalCell(16), return_sequences=True)(inputs)
    x = layers.RNN([MinimalCell(12), layers.GRUCell(8)])(x)
    return keras.Model(inputs, layers.Dense(3)(x))


DESIGNS = {
    "GauGAN": gaugan,
    "style transfer, AdaIN": style_transfer,
    "StyleGAN": style_gan,
    "spatial transformer": spatial_transformer,
    "learnable resizer": learnable_resizer,
    "deep Q-network": deep_q_network,
    "actor and critic": actor_critic,
    "detector with its boxes": detector,
    "recurrent layer of custom cells": custom_cell,
}
