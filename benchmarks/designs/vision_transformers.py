"""Image classifiers by attention: ViT, compact convolutional transformer, Swin, EANet, Perceiver, MobileViT."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops


def mlp(x: Any, hidden_units: list[int], dropout_rate: float) -> Any:
    """Dense layers with GELU."""
    for units in hidden_units:
        x = layers.Dense(units, activation=keras.activations.gelu)(x)
        x = layers.Dropout(dropout_rate)(x)
    return x


class Patches(layers.Layer):
    """Square patches of an image, each as a row of numbers."""

    def __init__(self, patch_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def call(self, images: Any) -> Any:
        """The patches, (batch, patches, numbers)."""
        input_shape = ops.shape(images)
        batch_size, height, width, channels = input_shape
        num_patches_h = height // self.patch_size
        num_patches_w = width // self.patch_size
        patches = keras.ops.image.extract_patches(images, size=self.patch_size)
        return ops.reshape(
            patches,
            (batch_size, num_patches_h * num_patches_w, self.patch_size * self.patch_size * channels),
        )

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        config = super().get_config()
        config.update({"patch_size": self.patch_size})
        return config


class PatchEncoder(layers.Layer):
    """Patches projected, with an embedding of their positions."""

    def __init__(self, num_patches: int, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_patches = num_patches
        self.projection = layers.Dense(units=projection_dim)
        self.position_embedding = layers.Embedding(input_dim=num_patches, output_dim=projection_dim)

    def call(self, patch: Any) -> Any:
        """Projections and positions."""
        positions = ops.expand_dims(ops.arange(start=0, stop=self.num_patches, step=1), axis=0)
        projected_patches = self.projection(patch)
        return projected_patches + self.position_embedding(positions)


def vision_transformer() -> keras.Model:
    """Patches, encoder blocks, and a head over all of them."""
    inputs = keras.Input((32, 32, 3))
    x = keras.Sequential(
        [
            layers.Normalization(mean=120.0, variance=4000.0),
            layers.Resizing(36, 36),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(factor=0.02),
            layers.RandomZoom(height_factor=0.2, width_factor=0.2),
        ]
    )(inputs)
    encoded = PatchEncoder(36, 48)(Patches(6)(x))
    for _ in range(3):
        x1 = layers.LayerNormalization(epsilon=1e-6)(encoded)
        attention_output = layers.MultiHeadAttention(num_heads=4, key_dim=48, dropout=0.1)(x1, x1)
        x2 = layers.Add()([attention_output, encoded])
        x3 = mlp(layers.LayerNormalization(epsilon=1e-6)(x2), [96, 48], 0.1)
        encoded = layers.Add()([x3, x2])
    x = layers.Flatten()(layers.LayerNormalization(epsilon=1e-6)(encoded))
    x = mlp(layers.Dropout(0.5)(x), [128, 64], 0.5)
    return keras.Model(inputs, layers.Dense(10)(x))


class CCTTokenizer(layers.Layer):
    """Convolutions and pools, whose positions are the tokens."""

    def __init__(self, num_output_channels: tuple[int, ...] = (32, 48), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv_model = keras.Sequential()
        for channels in num_output_channels:
            self.conv_model.add(
                layers.Conv2D(
                    channels, 3, 1, padding="valid", use_bias=False, activation="relu",
                    kernel_initializer="he_normal",
                )
            )  # fmt: skip
            self.conv_model.add(layers.ZeroPadding2D(1))
            self.conv_model.add(layers.MaxPooling2D(3, 2, "same"))

    def call(self, images: Any) -> Any:
        """The tokens."""
        outputs = self.conv_model(images)
        return keras.ops.reshape(
            outputs,
            (
                -1,
                keras.ops.shape(outputs)[1] * keras.ops.shape(outputs)[2],
                keras.ops.shape(outputs)[-1],
            ),
        )


class PositionEmbedding(keras.layers.Layer):
    """A trained vector for each position."""

    def __init__(self, sequence_length: int, initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sequence_length = int(sequence_length)
        self.initializer = keras.initializers.get(initializer)

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        config = super().get_config()
        config.update(
            {
                "sequence_length": self.sequence_length,
                "initializer": keras.initializers.serialize(self.initializer),
            }
        )
        return config

    def build(self, input_shape: Any) -> None:
        """Make the vectors."""
        self.position_embeddings = self.add_weight(
            name="embeddings",
            shape=[self.sequence_length, input_shape[-1]],
            initializer=self.initializer,
            trainable=True,
        )

    def call(self, inputs: Any, start_index: int = 0) -> Any:
        """The vectors, in the shape of the inputs."""
        shape = keras.ops.shape(inputs)
        feature_length = shape[-1]
        sequence_length = shape[-2]
        position_embeddings = keras.ops.convert_to_tensor(self.position_embeddings)
        position_embeddings = keras.ops.slice(
            position_embeddings, (start_index, 0), (sequence_length, feature_length)
        )
        return keras.ops.broadcast_to(position_embeddings, shape)


class SequencePooling(layers.Layer):
    """The mean of the tokens, weighted by attention."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = layers.Dense(1)

    def call(self, x: Any) -> Any:
        """The mean."""
        attention_weights = keras.ops.softmax(self.attention(x), axis=1)
        attention_weights = keras.ops.transpose(attention_weights, axes=(0, 2, 1))
        weighted_representation = keras.ops.matmul(attention_weights, x)
        return keras.ops.squeeze(weighted_representation, -2)


class StochasticDepth(layers.Layer):
    """Drops a residual branch in training."""

    def __init__(self, drop_prop: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drop_prob = drop_prop
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The branch, dropped or not."""
        if training:
            keep_prob = 1 - self.drop_prob
            shape = (keras.ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
            random_tensor = keep_prob + keras.random.uniform(shape, 0, 1, seed=self.seed_generator)
            return (x / keep_prob) * keras.ops.floor(random_tensor)
        return x


def compact_convolutional_transformer() -> keras.Model:
    """Tokens by convolutions, stochastic depth, and pooling by attention."""
    inputs = layers.Input((32, 32, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    encoded = CCTTokenizer()(layers.RandomCrop(32, 32)(x))
    encoded += PositionEmbedding(sequence_length=encoded.shape[1])(encoded)
    for rate in np.linspace(0, 0.1, 2):
        x1 = layers.LayerNormalization(epsilon=1e-5)(encoded)
        attention_output = layers.MultiHeadAttention(num_heads=2, key_dim=48, dropout=0.1)(x1, x1)
        x2 = layers.Add()([StochasticDepth(float(rate))(attention_output), encoded])
        x3 = mlp(layers.LayerNormalization(epsilon=1e-5)(x2), [48, 48], 0.1)
        encoded = layers.Add()([StochasticDepth(float(rate))(x3), x2])
    representation = layers.LayerNormalization(epsilon=1e-5)(encoded)
    return keras.Model(inputs, layers.Dense(10)(SequencePooling()(representation)))


class ExternalAttention(layers.Layer):
    """Attention to two memories that all images share."""

    def __init__(self, dim: int, num_heads: int, dim_coefficient: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.num_heads = num_heads * dim_coefficient
        self.trans = layers.Dense(dim * dim_coefficient)
        self.linear_0 = layers.Dense(dim * dim_coefficient // self.num_heads)
        self.linear_1 = layers.Dense(dim * dim_coefficient // self.num_heads)
        self.proj = layers.Dense(dim)

    def call(self, x: Any) -> Any:
        """Attend; the weights are normalized twice."""
        num_patch, channel = x.shape[1], x.shape[2]
        x = self.trans(x)
        x = ops.reshape(x, (-1, num_patch, self.num_heads, channel * 4 // self.num_heads))
        x = ops.transpose(x, axes=[0, 2, 1, 3])
        attn = layers.Activation("softmax")(ops.moveaxis(self.linear_0(x), 2, -1))
        attn = ops.moveaxis(attn, -1, 2)
        attn = ops.divide(attn, ops.convert_to_tensor(1e-9) + ops.sum(attn, axis=-1, keepdims=True))
        x = self.linear_1(attn)
        x = ops.reshape(ops.transpose(x, axes=[0, 2, 1, 3]), (-1, num_patch, self.dim * 4))
        return self.proj(x)


def eanet() -> keras.Model:
    """External attention."""
    inputs = layers.Input((32, 32, 3))
    x = PatchEncoder(64, 32)(Patches(4)(layers.Normalization(mean=0.5, variance=0.1)(inputs)))
    for _ in range(2):
        residual = x
        x = ExternalAttention(32, 4)(layers.LayerNormalization(epsilon=1e-5)(x))
        x = residual = layers.add([x, residual])
        x = mlp(layers.LayerNormalization(epsilon=1e-5)(x), [32, 32], 0.2)
        x = layers.add([x, residual])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


DESIGNS = {
    "ViT": vision_transformer,
    "compact convolutional transformer": compact_convolutional_transformer,
    "EANet": eanet,
}
