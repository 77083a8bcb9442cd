"""Images to images: restoration in several scales, depth, keypoints, compression, super-resolution."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


def _channel_attention(x: Any) -> Any:
    channels = x.shape[-1]
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Conv2D(max(channels // 8, 1), kernel_size=1, activation="relu")(pooled)
    weights = layers.Conv2D(channels, kernel_size=1, activation="sigmoid")(weights)
    return x * weights


class SpatialAttention(layers.Layer):
    """A weight for each position, from the mean and the maximum over the channels."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(1, kernel_size=(1, 1))

    def call(self, x: Any) -> Any:
        """Weight."""
        average = ops.expand_dims(ops.mean(x, axis=-1), axis=-1)
        largest = ops.expand_dims(ops.max(x, axis=-1), axis=-1)
        weights = self.conv(ops.concatenate([average, largest], axis=-1))
        return x * ops.nn.sigmoid(weights)


def _selective_fusion(features: list[Any]) -> Any:
    """Several maps, weighted by a softmax over them that depends on their sum."""
    channels = features[0].shape[-1]
    pooled = layers.GlobalAveragePooling2D()(layers.Add()(features))
    pooled = layers.Reshape(target_shape=(1, 1, channels))(pooled)
    compact = layers.Conv2D(channels // 8, kernel_size=(1, 1), activation="relu")(pooled)
    weights = ops.stack([layers.Conv2D(channels, kernel_size=(1, 1))(compact) for _ in features], axis=1)
    weights = ops.softmax(weights, axis=1)
    return layers.Add()([x * weights[:, index] for index, x in enumerate(features)])


def mirnet() -> keras.Model:
    """MIRNet: streams of two scales that attend, exchange and fuse, for images of any size."""
    inputs = keras.Input(shape=(None, None, 3))
    x1 = layers.Conv2D(16, kernel_size=(3, 3), padding="same")(inputs)
    for _ in range(2):
        x = x1
        half = layers.Conv2D(32, 1, padding="same")(layers.MaxPooling2D()(layers.ReLU()(x)))
        streams = []
        for stream in (x, half):
            y = layers.Conv2D(stream.shape[-1], 3, padding="same", activation="relu")(stream)
            y = layers.Concatenate(axis=-1)([_channel_attention(y), SpatialAttention()(y)])
            streams.append(layers.Add()([stream, layers.Conv2D(stream.shape[-1], 1)(y)]))
        raised = layers.Conv2D(16, 1, padding="same")(
            layers.UpSampling2D(interpolation="bilinear")(streams[1])
        )
        x1 = layers.Add()([x1, _selective_fusion([streams[0], raised])])
    outputs = layers.Add()([inputs, layers.Conv2D(3, kernel_size=(3, 3), padding="same")(x1)])
    return keras.Model(inputs, outputs)


def edsr() -> keras.Model:
    """EDSR: residual blocks, and an upsampling by `ops` with a layer for depth to space."""
    inputs = layers.Input(shape=(None, None, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    x = start = layers.Conv2D(32, 3, padding="same")(x)
    for _ in range(3):
        y = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
        x = layers.Add()([x, layers.Conv2D(32, 3, padding="same")(y)])
    x = layers.Add()([start, layers.Conv2D(32, 3, padding="same")(x)])
    for _ in range(2):
        x = PixelShuffle(2)(layers.Conv2D(32 * 4, 3, padding="same")(x))
    return keras.Model(inputs, layers.Rescaling(scale=255)(layers.Conv2D(3, 3, padding="same")(x)))


class PixelShuffle(layers.Layer):
    """Channels become pixels."""

    def __init__(self, scale: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, x: Any) -> Any:
        """Shuffle."""
        shape = ops.shape(x)
        height, width, channels = shape[1], shape[2], x.shape[3] // self.scale**2
        x = ops.reshape(x, (-1, height, width, self.scale, self.scale, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, height * self.scale, width * self.scale, channels))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """`scale` times as high and wide."""
        batch, height, width, channels = input_shape
        sizes = (None if size is None else size * self.scale for size in (height, width))
        return (batch, *sizes, channels // self.scale**2)


class UpscaleBlock(layers.Layer):
    """Raises a map, joins the skip and convolves."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.us = layers.UpSampling2D((2, 2))
        self.convs = [layers.Conv2D(filters, 3, 1, "same") for _ in range(2)]
        self.norms = [layers.BatchNormalization() for _ in range(2)]
        self.relu = layers.LeakyReLU(negative_slope=0.2)
        self.conc = layers.Concatenate()

    def call(self, x: Any, skip: Any) -> Any:
        """Raise."""
        x = self.conc([self.us(x), skip])
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.relu(norm(conv(x)))
        return x


class DepthEstimation(keras.Model):
    """A subclassed U-Net for depth."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.down = [layers.Conv2D(n, 3, 1, "same", activation="relu") for n in (8, 16, 32)]
        self.pool = layers.MaxPool2D((2, 2), (2, 2))
        self.up = [UpscaleBlock(n) for n in (32, 16, 8)]
        self.conv_layer = layers.Conv2D(1, (1, 1), padding="same", activation="tanh")

    def call(self, x: Any) -> Any:
        """The depth of each pixel."""
        skips = []
        for layer in self.down:
            skips.append(layer(x))
            x = self.pool(skips[-1])
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = block(x, skip)
        return self.conv_layer(x)


def depth() -> keras.Model:
    """Monocular depth: a subclassed model within a Functional one."""
    inputs = keras.Input((64, 64, 3))
    return keras.Model(inputs, DepthEstimation()(inputs))


def keypoints() -> keras.Model:
    """Keypoints by separable convolutions down to one position."""
    inputs = layers.Input((96, 96, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(inputs)
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dropout(0.3)(x)
    x = layers.SeparableConv2D(12, kernel_size=5, strides=3, activation="relu")(x)
    outputs = layers.SeparableConv2D(12, kernel_size=3, strides=1, activation="sigmoid")(x)
    return keras.Model(inputs, outputs, name="keypoint_detector")


def volume() -> keras.Model:
    """Computed tomography: convolutions of three dimensions."""
    inputs = keras.Input((32, 32, 16, 1))
    x = inputs
    for filters in (8, 16):
        x = layers.Conv3D(filters=filters, kernel_size=3, activation="relu")(x)
        x = layers.BatchNormalization()(layers.MaxPool3D(pool_size=2)(x))
    x = layers.Dense(units=32, activation="relu")(layers.GlobalAveragePooling3D()(x))
    return keras.Model(
        inputs, layers.Dense(units=1, activation="sigmoid")(layers.Dropout(0.3)(x)), name="3dcnn"
    )


class TubeletEmbedding(layers.Layer):
    """Blocks of a video, projected."""

    def __init__(self, embed_dim: int, patch_size: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.projection = layers.Conv3D(embed_dim, patch_size, strides=patch_size, padding="VALID")
        self.flatten = layers.Reshape(target_shape=(-1, embed_dim))

    def call(self, videos: Any) -> Any:
        """Project."""
        return self.flatten(self.projection(videos))


class PositionalEncoder(layers.Layer):
    """A vector for each position, of tokens whose number `build` sees."""

    def __init__(self, embed_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embed_dim = embed_dim

    def build(self, input_shape: Any) -> None:
        """Make the vectors."""
        _, num_tokens, _ = input_shape
        self.position_embedding = layers.Embedding(input_dim=num_tokens, output_dim=self.embed_dim)
        self.positions = ops.arange(0, num_tokens, 1)

    def call(self, encoded_tokens: Any) -> Any:
        """Add the vectors."""
        return encoded_tokens + self.position_embedding(self.positions)


def video_transformer() -> keras.Model:
    """ViViT: blocks of a video through a transformer."""
    inputs = layers.Input(shape=(16, 32, 32, 1))
    encoded = PositionalEncoder(embed_dim=32)(TubeletEmbedding(32, (8, 8, 8))(inputs))
    for _ in range(2):
        x1 = layers.LayerNormalization(epsilon=1e-6)(encoded)
        x2 = layers.Add()([layers.MultiHeadAttention(4, 32 // 4, dropout=0.1)(x1, x1), encoded])
        x3 = layers.LayerNormalization(epsilon=1e-6)(x2)
        gelu = keras.activations.gelu
        x3 = keras.Sequential(
            [layers.Dense(units=32 * 4, activation=gelu), layers.Dense(units=32, activation=gelu)]
        )(x3)
        encoded = layers.Add()([x3, x2])
    x = layers.GlobalAvgPool1D()(layers.LayerNormalization(epsilon=1e-6)(encoded))
    return keras.Model(inputs, layers.Dense(units=11, activation="softmax")(x))


DESIGNS = {
    "MIRNet": mirnet,
    "EDSR": edsr,
    "depth of a picture": depth,
    "keypoints": keypoints,
    "3D convolutions": volume,
    "video transformer": video_transformer,
}
