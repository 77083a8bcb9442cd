"""Generators: autoencoders, GANs, diffusion, radiance fields, image restoration."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops


def autoencoder() -> keras.Model:
    """Removes noise from images by strided and transposed convolutions."""
    inputs = layers.Input(shape=(28, 28, 1))
    x = inputs
    for _ in range(2):
        x = layers.Conv2D(32, (3, 3), activation="relu", padding="same")(x)
        x = layers.MaxPooling2D((2, 2), padding="same")(x)
    for _ in range(2):
        x = layers.Conv2DTranspose(32, (3, 3), strides=2, activation="relu", padding="same")(x)
    return keras.Model(inputs, layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x))


def vae_encoder() -> keras.Model:
    """The encoder of a VAE: mean and logarithm of the variance."""
    inputs = keras.Input(shape=(28, 28, 1))
    x = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(inputs)
    x = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    return keras.Model(
        inputs, [layers.Dense(2, name="z_mean")(x), layers.Dense(2, name="z_log_var")(x)], name="encoder"
    )


def vae_decoder() -> keras.Model:
    """The decoder of a VAE."""
    latent_inputs = keras.Input(shape=(2,))
    x = layers.Dense(7 * 7 * 64, activation="relu")(latent_inputs)
    x = layers.Reshape((7, 7, 64))(x)
    x = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")(x)
    return keras.Model(latent_inputs, x, name="decoder")


class VectorQuantizer(layers.Layer):
    """The nearest vector of a codebook, with the losses of training."""

    def __init__(self, num_embeddings: int, embedding_dim: int, beta: float = 0.25, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embedding_dim = embedding_dim
        self.num_embeddings = num_embeddings
        self.beta = beta
        self.embeddings = self.add_weight(
            shape=(embedding_dim, num_embeddings), initializer="random_uniform", name="embeddings_vqvae"
        )

    def call(self, x: Any) -> Any:
        """Quantize."""
        input_shape = ops.shape(x)
        flattened = ops.reshape(x, [-1, self.embedding_dim])
        encoding_indices = self.get_code_indices(flattened)
        encodings = ops.one_hot(encoding_indices, self.num_embeddings)
        quantized = ops.matmul(encodings, ops.transpose(self.embeddings))
        quantized = ops.reshape(quantized, input_shape)
        commitment_loss = ops.mean((ops.stop_gradient(quantized) - x) ** 2)
        codebook_loss = ops.mean((quantized - ops.stop_gradient(x)) ** 2)
        self.add_loss(self.beta * commitment_loss + codebook_loss)
        return x + ops.stop_gradient(quantized - x)

    def get_code_indices(self, flattened_inputs: Any) -> Any:
        """The index of the nearest vector."""
        similarity = ops.matmul(flattened_inputs, self.embeddings)
        distances = (
            ops.sum(flattened_inputs**2, axis=1, keepdims=True)
            + ops.sum(self.embeddings**2, axis=0)
            - 2 * similarity
        )
        return ops.argmin(distances, axis=1)


def vq_vae() -> keras.Model:
    """Encoder, codebook, decoder."""
    inputs = keras.Input(shape=(28, 28, 1))
    x = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(inputs)
    x = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(x)
    encoder = keras.Model(inputs, layers.Conv2D(16, 1, padding="same")(x), name="encoder")
    latent_inputs = keras.Input(shape=encoder.output.shape[1:])
    x = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same")(latent_inputs)
    x = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same")(x)
    decoder = keras.Model(latent_inputs, layers.Conv2DTranspose(1, 3, padding="same")(x), name="decoder")
    inputs = keras.Input(shape=(28, 28, 1))
    quantized = VectorQuantizer(32, 16, name="vector_quantizer")(encoder(inputs))
    return keras.Model(inputs, decoder(quantized), name="vq_vae")


def dcgan_generator() -> keras.Model:
    """Noise to faces."""
    return keras.Sequential(
        [
            keras.Input(shape=(64,)),
            layers.Dense(8 * 8 * 64),
            layers.Reshape((8, 8, 64)),
            layers.Conv2DTranspose(64, kernel_size=4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2DTranspose(96, kernel_size=4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(3, kernel_size=5, padding="same", activation="sigmoid"),
        ],
        name="generator",
    )


def conditional_discriminator() -> keras.Model:
    """Images with a channel for each class, for a conditional GAN."""
    image, label = keras.Input((28, 28, 1)), keras.Input((10,))
    maps = layers.RepeatVector(28 * 28)(label)
    maps = layers.Reshape((28, 28, 10))(maps)
    x = layers.Concatenate()([image, maps])
    for filters in (32, 64):
        x = layers.LeakyReLU(negative_slope=0.2)(layers.Conv2D(filters, 3, strides=2, padding="same")(x))
    return keras.Model([image, label], layers.Dense(1)(layers.GlobalMaxPooling2D()(x)))


class ReflectionPadding2D(layers.Layer):
    """An image mirrored at its borders."""

    def __init__(self, padding: Any = (1, 1), **kwargs: Any) -> None:
        self.padding = tuple(padding)
        super().__init__(**kwargs)

    def call(self, input_tensor: Any, mask: Any = None) -> Any:
        """Pad."""
        padding_width, padding_height = self.padding
        padding_tensor = [[0, 0], [padding_height, padding_height], [padding_width, padding_width], [0, 0]]
        return ops.pad(input_tensor, padding_tensor, mode="reflect")


def cycle_gan_generator() -> keras.Model:
    """A residual generator with mirrored borders and instance normalization."""

    def normalized(x: Any) -> Any:
        return layers.GroupNormalization(groups=-1, gamma_initializer="random_normal")(x)

    inputs = layers.Input(shape=(64, 64, 3))
    x = ReflectionPadding2D(padding=(3, 3))(inputs)
    x = layers.Activation("relu")(normalized(layers.Conv2D(16, (7, 7), use_bias=False)(x)))
    for filters in (32, 64):
        x = layers.Conv2D(filters, (3, 3), strides=2, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(normalized(x))
    for _ in range(2):
        y = layers.Conv2D(64, (3, 3), padding="valid", use_bias=False)(ReflectionPadding2D()(x))
        y = layers.Activation("relu")(normalized(y))
        y = normalized(layers.Conv2D(64, (3, 3), padding="valid", use_bias=False)(ReflectionPadding2D()(y)))
        x = layers.add([x, y])
    for filters in (32, 16):
        x = layers.Conv2DTranspose(filters, (3, 3), strides=2, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(normalized(x))
    x = layers.Conv2D(3, (7, 7), padding="valid")(ReflectionPadding2D(padding=(3, 3))(x))
    return keras.Model(inputs, layers.Activation("tanh")(x))


@keras.saving.register_keras_serializable(package="designs")
def sinusoidal_embedding(x: Any) -> Any:
    """Sines and cosines of a noise level, at frequencies from 1 to 1000."""
    frequencies = ops.exp(ops.linspace(ops.log(1.0), ops.log(1000.0), 16))
    angular_speeds = ops.cast(2.0 * math.pi * frequencies, "float32")
    return ops.concatenate([ops.sin(angular_speeds * x), ops.cos(angular_speeds * x)], axis=3)


def diffusion() -> keras.Model:
    """The U-Net of a denoising diffusion model, conditioned on the level of noise."""

    def residual_block(x: Any, width: int) -> Any:
        residual = x if x.shape[3] == width else layers.Conv2D(width, kernel_size=1)(x)
        x = layers.BatchNormalization(center=False, scale=False)(x)
        x = layers.Conv2D(width, kernel_size=3, padding="same", activation="swish")(x)
        x = layers.Conv2D(width, kernel_size=3, padding="same")(x)
        return layers.Add()([x, residual])

    noisy_images = keras.Input(shape=(64, 64, 3))
    noise_variances = keras.Input(shape=(1, 1, 1))
    e = layers.Lambda(sinusoidal_embedding, output_shape=(1, 1, 32))(noise_variances)
    e = layers.UpSampling2D(size=64, interpolation="nearest")(e)
    x = layers.Concatenate()([layers.Conv2D(16, kernel_size=1)(noisy_images), e])
    skips = []
    for width in (16, 32, 48):
        for _ in range(2):
            x = residual_block(x, width)
            skips.append(x)
        x = layers.AveragePooling2D(pool_size=2)(x)
    for _ in range(2):
        x = residual_block(x, 64)
    for width in (48, 32, 16):
        x = layers.UpSampling2D(size=2, interpolation="bilinear")(x)
        for _ in range(2):
            x = residual_block(layers.Concatenate()([x, skips.pop()]), width)
    x = layers.Conv2D(3, kernel_size=1, kernel_initializer="zeros")(x)
    return keras.Model([noisy_images, noise_variances], x, name="residual_unet")


class TimeEmbedding(layers.Layer):
    """Sines and cosines of a step."""

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.half_dim = dim // 2
        rate = math.log(10000) / (self.half_dim - 1)
        self.emb = ops.exp(ops.arange(self.half_dim, dtype="float32") * -rate)

    def call(self, inputs: Any) -> Any:
        """The embedding."""
        inputs = ops.cast(inputs, dtype="float32")
        emb = inputs[:, None] * self.emb[None, :]
        return ops.concatenate([ops.sin(emb), ops.cos(emb)], axis=-1)


class AttentionBlock(layers.Layer):
    """Attention between the positions of an image, written with einsum."""

    def __init__(self, units: int, groups: int = 8, **kwargs: Any) -> None:
        self.units = units
        self.groups = groups
        super().__init__(**kwargs)
        self.norm = layers.GroupNormalization(groups=groups)
        self.query, self.key, self.value, self.proj = (layers.Dense(units) for _ in range(4))

    def call(self, inputs: Any) -> Any:
        """Attend."""
        batch_size = ops.shape(inputs)[0]
        height = ops.shape(inputs)[1]
        width = ops.shape(inputs)[2]
        scale = self.units ** (-0.5)
        inputs = self.norm(inputs)
        q, k, v = self.query(inputs), self.key(inputs), self.value(inputs)
        attn_score = ops.einsum("bhwc, bHWc->bhwHW", q, k) * scale
        attn_score = ops.reshape(attn_score, [batch_size, height, width, height * width])
        attn_score = ops.nn.softmax(attn_score, -1)
        attn_score = ops.reshape(attn_score, [batch_size, height, width, height, width])
        return inputs + self.proj(ops.einsum("bhwHW,bHWc->bhwc", attn_score, v))


def ddpm() -> keras.Model:
    """The U-Net of a diffusion model with the embedded step, group normalization and attention."""

    def residual_block(x: Any, t: Any, width: int) -> Any:
        residual = x if x.shape[3] == width else layers.Conv2D(width, kernel_size=1)(x)
        temb = layers.Dense(width)(keras.activations.swish(t))[:, None, None, :]
        x = keras.activations.swish(layers.GroupNormalization(groups=8)(x))
        x = layers.Conv2D(width, kernel_size=3, padding="same")(x)
        x = layers.Add()([x, temb])
        x = keras.activations.swish(layers.GroupNormalization(groups=8)(x))
        return layers.Add()([layers.Conv2D(width, kernel_size=3, padding="same")(x), residual])

    image_input = layers.Input(shape=(32, 32, 1), name="image_input")
    time_input = keras.Input(shape=(), dtype="int64", name="time_input")
    temb = layers.Dense(64)(layers.Dense(64, activation="swish")(TimeEmbedding(dim=64)(time_input)))
    x = layers.Conv2D(16, kernel_size=(3, 3), padding="same")(image_input)
    skips = [x]
    for width, attends in ((16, False), (32, True)):
        x = residual_block(x, temb, width)
        x = AttentionBlock(width, groups=8)(x) if attends else x
        skips.append(x)
        x = layers.Conv2D(width, 3, strides=2, padding="same")(x)
    x = residual_block(AttentionBlock(32)(residual_block(x, temb, 32)), temb, 32)
    for width in (32, 16):
        x = layers.Conv2D(width, 3, padding="same")(layers.UpSampling2D(2, interpolation="nearest")(x))
        x = residual_block(layers.Concatenate(axis=-1)([x, skips.pop()]), temb, width)
    x = keras.activations.swish(layers.GroupNormalization(groups=8)(x))
    return keras.Model([image_input, time_input], layers.Conv2D(1, (3, 3), padding="same")(x))


def nerf() -> keras.Model:
    """Colors and densities along rays: an MLP whose input returns at every fourth layer."""
    x = inputs = keras.Input(shape=(256, 2 * 3 * 8 + 3))
    for i in range(8):
        x = layers.Dense(units=64, activation="relu")(x)
        if i % 4 == 0 and i > 0:
            x = layers.concatenate([x, inputs], axis=-1)
    return keras.Model(inputs=inputs, outputs=layers.Dense(units=4)(x))


class PixelConvLayer(layers.Layer):
    """A convolution that sees only preceding pixels."""

    def __init__(self, mask_type: str, filters: int = 32, kernel_size: int = 3, **kwargs: Any) -> None:
        super().__init__()
        self.mask_type = mask_type
        self.conv = layers.Conv2D(filters=filters, kernel_size=kernel_size, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make the mask of the kernel."""
        self.conv.build(input_shape)
        kernel_shape = ops.shape(self.conv.kernel)
        self.mask = np.zeros(shape=kernel_shape)
        self.mask[: kernel_shape[0] // 2, ...] = 1.0
        self.mask[kernel_shape[0] // 2, : kernel_shape[1] // 2, ...] = 1.0
        if self.mask_type == "B":
            self.mask[kernel_shape[0] // 2, kernel_shape[1] // 2, ...] = 1.0

    def call(self, inputs: Any) -> Any:
        """Convolve, with the kernel masked in place."""
        self.conv.kernel.assign(self.conv.kernel * self.mask)
        return self.conv(inputs)


def pixel_cnn() -> keras.Model:
    """PixelCNN."""
    inputs = keras.Input(shape=(28, 28, 1))
    x = PixelConvLayer(mask_type="A", kernel_size=7, activation="relu", padding="same")(inputs)
    for _ in range(2):
        y = layers.Conv2D(16, 1, activation="relu")(x)
        y = PixelConvLayer(mask_type="B", filters=16, activation="relu", padding="same")(y)
        x = layers.add([x, layers.Conv2D(32, 1, activation="relu")(y)])
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


DESIGNS = {
    "denoising autoencoder": autoencoder,
    "VAE encoder": vae_encoder,
    "VAE decoder": vae_decoder,
    "VQ-VAE": vq_vae,
    "DCGAN generator": dcgan_generator,
    "conditional discriminator": conditional_discriminator,
    "CycleGAN generator": cycle_gan_generator,
    "diffusion U-Net, noise level": diffusion,
    "diffusion U-Net, step and attention": ddpm,
    "NeRF": nerf,
    "PixelCNN": pixel_cnn,
}
