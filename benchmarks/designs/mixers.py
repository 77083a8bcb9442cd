"""Image classifiers that mix patches without attention: ConvMixer, MLP-Mixer, gMLP, FNet, involution."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


def conv_mixer() -> keras.Model:
    """Patches by a convolution, then depthwise and pointwise convolutions with residual connections."""

    def activation_block(x: Any) -> Any:
        return layers.BatchNormalization()(layers.Activation("gelu")(x))

    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    x = activation_block(layers.Conv2D(48, kernel_size=2, strides=2)(x))
    for _ in range(4):
        residual = x
        x = layers.DepthwiseConv2D(kernel_size=5, padding="same")(x)
        x = layers.Add()([activation_block(x), residual])
        x = activation_block(layers.Conv2D(48, kernel_size=1)(x))
    x = layers.GlobalAvgPool2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


class Patches(layers.Layer):
    """Square patches of an image, each as a row of numbers."""

    def __init__(self, patch_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def call(self, x: Any) -> Any:
        """The patches, (batch, patches, numbers)."""
        patches = ops.image.extract_patches(x, self.patch_size)
        batch_size = ops.shape(patches)[0]
        num_patches = ops.shape(patches)[1] * ops.shape(patches)[2]
        patch_dim = ops.shape(patches)[3]
        return ops.reshape(patches, (batch_size, num_patches, patch_dim))


class PositionEmbedding(layers.Layer):
    """A trained vector for each position, added to the patches."""

    def __init__(self, sequence_length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sequence_length = sequence_length

    def build(self, input_shape: Any) -> None:
        """Make the vectors."""
        self.position_embeddings = self.add_weight(
            shape=(self.sequence_length, input_shape[-1]), initializer="glorot_uniform", name="embeddings"
        )

    def call(self, inputs: Any, start_index: int = 0) -> Any:
        """The vectors of the positions from `start_index` on, in the shape of the inputs."""
        shape = ops.shape(inputs)
        position_embeddings = ops.convert_to_tensor(self.position_embeddings)
        position_embeddings = ops.slice(
            position_embeddings, (start_index, 0), (self.sequence_length, shape[-1])
        )
        return ops.broadcast_to(position_embeddings, shape)


class MLPMixerLayer(layers.Layer):
    """An MLP over the patches, then one over the channels."""

    def __init__(self, num_patches: int, hidden_units: int, dropout_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mlp1 = keras.Sequential(
            [
                layers.Dense(units=num_patches, activation="gelu"),
                layers.Dense(units=num_patches),
                layers.Dropout(rate=dropout_rate),
            ]
        )
        self.mlp2 = keras.Sequential(
            [
                layers.Dense(units=num_patches, activation="gelu"),
                layers.Dense(units=hidden_units),
                layers.Dropout(rate=dropout_rate),
            ]
        )
        self.normalize = layers.LayerNormalization(epsilon=1e-6)

    def build(self, input_shape: Any) -> None:
        """Built by the first call."""
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Mix."""
        x = self.normalize(inputs)
        x_channels = ops.transpose(x, axes=(0, 2, 1))
        mlp1_outputs = ops.transpose(self.mlp1(x_channels), axes=(0, 2, 1))
        x = mlp1_outputs + inputs
        x_patches = self.normalize(x)
        return x + self.mlp2(x_patches)


class GMLPLayer(layers.Layer):
    """Channels projected, half of them gated by a projection over the patches."""

    def __init__(self, num_patches: int, embedding_dim: int, dropout_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channel_projection1 = keras.Sequential(
            [layers.Dense(units=embedding_dim * 2, activation="gelu"), layers.Dropout(rate=dropout_rate)]
        )
        self.channel_projection2 = layers.Dense(units=embedding_dim)
        self.spatial_projection = layers.Dense(units=num_patches, bias_initializer="Ones")
        self.normalize1 = layers.LayerNormalization(epsilon=1e-6)
        self.normalize2 = layers.LayerNormalization(epsilon=1e-6)

    def spatial_gating_unit(self, x: Any) -> Any:
        """u v, with v projected over the patches."""
        u, v = ops.split(x, indices_or_sections=2, axis=2)
        v = self.normalize2(v)
        v_channels = ops.transpose(v, axes=(0, 2, 1))
        v_projected = ops.transpose(self.spatial_projection(v_channels), axes=(0, 2, 1))
        return u * v_projected

    def call(self, inputs: Any) -> Any:
        """Gate."""
        x = self.normalize1(inputs)
        x_projected = self.channel_projection1(x)
        x_spatial = self.spatial_gating_unit(x_projected)
        return inputs + self.channel_projection2(x_spatial)


class FNetLayer(layers.Layer):
    """The real part of a Fourier transform over patches and channels, then a feed-forward network."""

    def __init__(self, embedding_dim: int, dropout_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ffn = keras.Sequential(
            [
                layers.Dense(units=embedding_dim, activation="gelu"),
                layers.Dropout(rate=dropout_rate),
                layers.Dense(units=embedding_dim),
            ]
        )
        self.normalize1 = layers.LayerNormalization(epsilon=1e-6)
        self.normalize2 = layers.LayerNormalization(epsilon=1e-6)

    def call(self, inputs: Any) -> Any:
        """Transform."""
        real_part = inputs
        im_part = keras.ops.zeros_like(inputs)
        x = keras.ops.fft2((real_part, im_part))[0]
        x = self.normalize1(x + inputs)
        return self.normalize2(x + self.ffn(x))


def _classifier(blocks: keras.Sequential, positions: bool) -> keras.Model:
    """Patches of an image of 32 x 32 through blocks."""
    inputs = layers.Input(shape=(32, 32, 3))
    augmented = keras.Sequential(
        [
            layers.Normalization(mean=[120.0, 118.0, 110.0], variance=[4000.0, 3900.0, 4100.0]),
            layers.Resizing(32, 32),
            layers.RandomFlip("horizontal"),
            layers.RandomZoom(height_factor=0.2, width_factor=0.2),
        ],
        name="data_augmentation",
    )(inputs)
    x = layers.Dense(units=48)(Patches(4)(augmented))
    if positions:
        x = x + PositionEmbedding(sequence_length=64)(x)
    x = blocks(x)
    representation = layers.Dropout(rate=0.2)(layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, layers.Dense(10)(representation))


def mlp_mixer() -> keras.Model:
    """MLP-Mixer."""
    return _classifier(keras.Sequential([MLPMixerLayer(64, 48, 0.2) for _ in range(3)]), False)


def gmlp() -> keras.Model:
    """GMLP, with position embeddings."""
    return _classifier(keras.Sequential([GMLPLayer(64, 48, 0.2) for _ in range(3)]), True)


def fnet() -> keras.Model:
    """FNet, with position embeddings."""
    return _classifier(keras.Sequential([FNetLayer(48, 0.2) for _ in range(3)]), True)


class Involution(layers.Layer):
    """A kernel for each position, computed from the position itself and shared by the channels of a group."""

    def __init__(
        self,
        channel: int,
        group_number: int,
        kernel_size: int,
        stride: int,
        reduction_ratio: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.channel = channel
        self.group_number = group_number
        self.kernel_size = kernel_size
        self.stride = stride
        self.reduction_ratio = reduction_ratio

    def build(self, input_shape: Any) -> None:
        """Make the layers that generate the kernels."""
        _, height, width, num_channels = input_shape
        height, width = height // self.stride, width // self.stride
        self.stride_layer = (
            layers.AveragePooling2D(pool_size=self.stride, strides=self.stride, padding="same")
            if self.stride > 1
            else layers.Identity()
        )
        self.kernel_gen = keras.Sequential(
            [
                layers.Conv2D(filters=self.channel // self.reduction_ratio, kernel_size=1),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Conv2D(filters=self.kernel_size * self.kernel_size * self.group_number, kernel_size=1),
            ]
        )
        self.kernel_reshape = layers.Reshape((height, width, self.kernel_size**2, 1, self.group_number))
        self.input_patches_reshape = layers.Reshape(
            (height, width, self.kernel_size**2, num_channels // self.group_number, self.group_number)
        )
        self.output_reshape = layers.Reshape((height, width, num_channels))

    def call(self, x: Any) -> Any:
        """The output and the kernels."""
        kernel_input = self.stride_layer(x)
        kernel = self.kernel_reshape(self.kernel_gen(kernel_input))
        input_patches = ops.image.extract_patches(
            x,
            size=(self.kernel_size, self.kernel_size),
            strides=(self.stride, self.stride),
            dilation_rate=1,
            padding="same",
        )
        output = ops.multiply(kernel, self.input_patches_reshape(input_patches))
        return self.output_reshape(ops.sum(output, axis=3)), kernel


def involution() -> keras.Model:
    """An involutional network, which also returns its kernels."""
    inputs = keras.Input((32, 32, 3))
    x, _ = Involution(3, 1, 3, 1, 2, name="inv_1")(inputs)
    x = layers.MaxPooling2D((2, 2))(keras.layers.ReLU()(x))
    x, kernel = Involution(3, 1, 3, 1, 2, name="inv_2")(x)
    x = layers.Flatten()(layers.MaxPooling2D((2, 2))(keras.layers.ReLU()(x)))
    return keras.Model(inputs, [layers.Dense(10)(layers.Dense(64, activation="relu")(x)), kernel])


DESIGNS = {
    "ConvMixer": conv_mixer,
    "MLP-Mixer": mlp_mixer,
    "gMLP": gmlp,
    "FNet": fnet,
    "involution": involution,
}
