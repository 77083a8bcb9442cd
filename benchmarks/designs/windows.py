"""Image classifiers by attention within windows and between modules: Swin, Perceiver, MobileViT."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops


def window_partition(x: Any, window_size: int) -> Any:
    """An image cut into windows."""
    _, height, width, channels = x.shape
    patch_num_y = height // window_size
    patch_num_x = width // window_size
    x = ops.reshape(x, (-1, patch_num_y, window_size, patch_num_x, window_size, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, window_size, window_size, channels))


def window_reverse(windows: Any, window_size: int, height: int, width: int, channels: int) -> Any:
    """The image of windows."""
    patch_num_y = height // window_size
    patch_num_x = width // window_size
    x = ops.reshape(windows, (-1, patch_num_y, patch_num_x, window_size, window_size, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height, width, channels))


class WindowAttention(layers.Layer):
    """Attention within windows, with a bias for each relative position."""

    def __init__(
        self, dim: int, window_size: Any, num_heads: int, qkv_bias: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.window_size = window_size
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = layers.Dense(dim * 3, use_bias=qkv_bias)
        self.dropout = layers.Dropout(0.1)
        self.proj = layers.Dense(dim)
        num_window_elements = (2 * window_size[0] - 1) * (2 * window_size[1] - 1)
        self.relative_position_bias_table = self.add_weight(
            shape=(num_window_elements, num_heads), initializer=keras.initializers.Zeros(), trainable=True
        )
        coords_matrix = np.meshgrid(np.arange(window_size[0]), np.arange(window_size[1]), indexing="ij")
        coords_flat = np.stack(coords_matrix).reshape(2, -1)
        relative_coords = (coords_flat[:, :, None] - coords_flat[:, None, :]).transpose([1, 2, 0])
        relative_coords[:, :, 0] += window_size[0] - 1
        relative_coords[:, :, 1] += window_size[1] - 1
        relative_coords[:, :, 0] *= 2 * window_size[1] - 1
        self.relative_position_index = keras.Variable(
            initializer=relative_coords.sum(-1),
            shape=relative_coords.sum(-1).shape,
            dtype="int",
            trainable=False,
        )

    def call(self, x: Any, mask: Any = None) -> Any:
        """Attend; the mask separates what a shift brought together."""
        _, size, channels = x.shape
        head_dim = channels // self.num_heads
        x_qkv = self.qkv(x)
        x_qkv = ops.reshape(x_qkv, (-1, size, 3, self.num_heads, head_dim))
        x_qkv = ops.transpose(x_qkv, (2, 0, 3, 1, 4))
        q, k, v = x_qkv[0], x_qkv[1], x_qkv[2]
        q = q * self.scale
        k = ops.transpose(k, (0, 1, 3, 2))
        attn = q @ k
        num_window_elements = self.window_size[0] * self.window_size[1]
        relative_position_index_flat = ops.reshape(self.relative_position_index, (-1,))
        relative_position_bias = ops.take(
            self.relative_position_bias_table, relative_position_index_flat, axis=0
        )
        relative_position_bias = ops.reshape(
            relative_position_bias, (num_window_elements, num_window_elements, -1)
        )
        relative_position_bias = ops.transpose(relative_position_bias, (2, 0, 1))
        attn = attn + ops.expand_dims(relative_position_bias, axis=0)
        if mask is not None:
            windows = mask.shape[0]
            mask_float = ops.cast(ops.expand_dims(ops.expand_dims(mask, axis=1), axis=0), "float32")
            attn = ops.reshape(attn, (-1, windows, self.num_heads, size, size)) + mask_float
            attn = ops.reshape(attn, (-1, self.num_heads, size, size))
        attn = self.dropout(keras.activations.softmax(attn, axis=-1))
        x_qkv = ops.transpose(attn @ v, (0, 2, 1, 3))
        return self.dropout(self.proj(ops.reshape(x_qkv, (-1, size, channels))))


class SwinTransformer(layers.Layer):
    """Attention within windows, shifted or not, and an MLP."""

    def __init__(
        self,
        dim: int,
        num_patch: Any,
        num_heads: int,
        window_size: int = 4,
        shift_size: int = 0,
        num_mlp: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.num_patch = num_patch
        self.window_size = window_size
        self.shift_size = shift_size
        self.norm1 = layers.LayerNormalization(epsilon=1e-5)
        self.attn = WindowAttention(dim, window_size=(window_size, window_size), num_heads=num_heads)
        self.norm2 = layers.LayerNormalization(epsilon=1e-5)
        self.mlp = keras.Sequential(
            [layers.Dense(num_mlp), layers.Activation(keras.activations.gelu), layers.Dense(dim)]
        )

    def build(self, input_shape: Any) -> None:
        """Make the mask of the shifted windows."""
        if self.shift_size == 0:
            self.attn_mask = None
            return
        height, width = self.num_patch
        slices = (
            slice(0, -self.window_size),
            slice(-self.window_size, -self.shift_size),
            slice(-self.shift_size, None),
        )
        mask_array = np.zeros((1, height, width, 1))
        count = 0
        for h in slices:
            for w in slices:
                mask_array[:, h, w, :] = count
                count += 1
        mask_windows = window_partition(ops.convert_to_tensor(mask_array), self.window_size)
        mask_windows = ops.reshape(mask_windows, [-1, self.window_size * self.window_size])
        attn_mask = ops.expand_dims(mask_windows, axis=1) - ops.expand_dims(mask_windows, axis=2)
        attn_mask = ops.where(attn_mask != 0, -100.0, attn_mask)
        attn_mask = ops.where(attn_mask == 0, 0.0, attn_mask)
        self.attn_mask = keras.Variable(
            initializer=attn_mask, shape=attn_mask.shape, dtype=attn_mask.dtype, trainable=False
        )

    def call(self, x: Any, training: bool = False) -> Any:
        """Shift, attend, shift back."""
        height, width = self.num_patch
        _, _, channels = x.shape
        x_skip = x
        x = ops.reshape(self.norm1(x), (-1, height, width, channels))
        shift = self.shift_size
        shifted_x = ops.roll(x, shift=[-shift, -shift], axis=[1, 2]) if shift > 0 else x
        x_windows = window_partition(shifted_x, self.window_size)
        x_windows = ops.reshape(x_windows, (-1, self.window_size * self.window_size, channels))
        attn_windows = self.attn(x_windows, mask=self.attn_mask)
        attn_windows = ops.reshape(attn_windows, (-1, self.window_size, self.window_size, channels))
        shifted_x = window_reverse(attn_windows, self.window_size, height, width, channels)
        x = ops.roll(shifted_x, shift=[shift, shift], axis=[1, 2]) if shift > 0 else shifted_x
        x = x_skip + ops.reshape(x, (-1, height * width, channels))
        return x + self.mlp(self.norm2(x))


class PatchMerging(keras.layers.Layer):
    """Four neighbouring patches become one."""

    def __init__(self, num_patch: Any, embed_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_patch = num_patch
        self.embed_dim = embed_dim
        self.linear_trans = layers.Dense(2 * embed_dim, use_bias=False)

    def call(self, x: Any) -> Any:
        """Merge."""
        height, width = self.num_patch
        _, _, channels = x.shape
        x = ops.reshape(x, (-1, height, width, channels))
        x = ops.concatenate(
            (x[:, 0::2, 0::2, :], x[:, 1::2, 0::2, :], x[:, 0::2, 1::2, :], x[:, 1::2, 1::2, :]), axis=-1
        )
        x = ops.reshape(x, (-1, (height // 2) * (width // 2), 4 * channels))
        return self.linear_trans(x)


class PatchEmbedding(layers.Layer):
    """Patches projected, with an embedding of their positions."""

    def __init__(self, num_patch: int, embed_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_patch = num_patch
        self.proj = layers.Dense(embed_dim)
        self.pos_embed = layers.Embedding(input_dim=num_patch, output_dim=embed_dim)

    def call(self, patch: Any) -> Any:
        """Projections and positions."""
        return self.proj(patch) + self.pos_embed(ops.arange(start=0, stop=self.num_patch))


def swin() -> keras.Model:
    """Windows, then shifted ones."""
    inputs = layers.Input((32, 32, 3))
    x = layers.RandomFlip("horizontal")(layers.RandomCrop(32, 32)(inputs))
    x = ops.image.extract_patches(x, size=(2, 2), strides=(2, 2), padding="valid", dilation_rate=1)
    x = layers.Reshape((256, 12))(x)
    x = PatchEmbedding(256, 32)(x)
    x = SwinTransformer(32, (16, 16), num_heads=4, shift_size=0)(x)
    x = SwinTransformer(32, (16, 16), num_heads=4, shift_size=2)(x)
    x = layers.GlobalAveragePooling1D()(PatchMerging((16, 16), embed_dim=32)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


class Perceiver(keras.Model):
    """A trained array that attends to the patches, then to itself."""

    def __init__(
        self, latent_dim: int = 24, projection_dim: int = 32, blocks: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.latent_dim = latent_dim
        self.projection_dim = projection_dim
        self.blocks = blocks
        self.patches = layers.Conv2D(projection_dim, 4, 4)
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(3)]
        self.cross = layers.Attention(use_scale=True, dropout=0.2)
        self.query, self.key, self.value = (layers.Dense(projection_dim) for _ in range(3))
        self.own = layers.MultiHeadAttention(4, projection_dim)
        self.pooling = layers.GlobalAveragePooling1D()
        self.head = layers.Dense(10)

    def build(self, input_shape: Any) -> None:
        """Make the array."""
        self.latent_array = self.add_weight(
            shape=(self.latent_dim, self.projection_dim), initializer="random_normal"
        )

    def call(self, inputs: Any) -> Any:
        """Attend."""
        x = self.patches(inputs)
        x = ops.reshape(x, (ops.shape(x)[0], -1, self.projection_dim))
        latent = ops.expand_dims(self.latent_array, 0)
        for _ in range(self.blocks):
            normed, data = self.norms[0](latent), self.norms[1](x)
            attended = self.cross([self.query(normed), self.key(data), self.value(data)])
            latent = attended + latent
            normed = self.norms[2](latent)
            latent = latent + self.own(normed, normed)
        return self.head(self.pooling(latent))


def perceiver() -> keras.Model:
    """A subclassed Perceiver within a Functional model."""
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, Perceiver()(inputs))


def mobile_vit() -> keras.Model:
    """Convolutions with a transformer over the positions of the same place in all patches."""

    def conv_block(x: Any, filters: int, kernel_size: int = 3, strides: int = 2) -> Any:
        return layers.Conv2D(
            filters, kernel_size, strides=strides, activation=keras.activations.swish, padding="same"
        )(x)

    def inverted_residual(x: Any, expanded: int, out: int, strides: int = 1) -> Any:
        m = layers.Conv2D(expanded, 1, padding="same", use_bias=False)(x)
        m = keras.activations.swish(layers.BatchNormalization()(m))
        if strides == 2:
            m = layers.ZeroPadding2D(((0, 1), (0, 1)))(m)
        m = layers.DepthwiseConv2D(
            3, strides=strides, padding="same" if strides == 1 else "valid", use_bias=False
        )(m)
        m = keras.activations.swish(layers.BatchNormalization()(m))
        m = layers.BatchNormalization()(layers.Conv2D(out, 1, padding="same", use_bias=False)(m))
        return layers.Add()([m, x]) if keras.ops.equal(x.shape[-1], out) and strides == 1 else m

    def transformer(x: Any, dim: int) -> Any:
        x1 = layers.LayerNormalization(epsilon=1e-6)(x)
        x2 = layers.Add()([layers.MultiHeadAttention(num_heads=2, key_dim=dim, dropout=0.1)(x1, x1), x])
        x3 = layers.LayerNormalization(epsilon=1e-6)(x2)
        x3 = layers.Dense(dim, activation=keras.activations.swish)(
            layers.Dense(dim * 2, activation="swish")(x3)
        )
        return layers.Add()([x3, x2])

    inputs = keras.Input((64, 64, 3))
    x = conv_block(layers.Rescaling(scale=1.0 / 255)(inputs), filters=16)
    x = inverted_residual(x, 32, 16)
    x = inverted_residual(x, 32, 24, strides=2)
    local = conv_block(conv_block(x, 32, strides=1), 32, kernel_size=1, strides=1)
    num_patches = int((local.shape[1] * local.shape[2]) / 4)
    unfolded = transformer(layers.Reshape((4, num_patches, 32))(local), 32)
    folded = layers.Reshape((*local.shape[1:-1], 32))(unfolded)
    folded = conv_block(folded, x.shape[-1], kernel_size=1, strides=1)
    x = conv_block(layers.Concatenate(axis=-1)([x, folded]), 32, strides=1)
    x = layers.GlobalAvgPool2D()(conv_block(x, 64, kernel_size=1, strides=1))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


DESIGNS = {"Swin": swin, "Perceiver": perceiver, "MobileViT": mobile_vit}
