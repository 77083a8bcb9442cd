"""Attention of other kinds: class attention, token learner, focal modulation, rotary positions, captions, speech."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.designs.recurrent import padded_ids


class LayerScale(layers.Layer):
    """A trained factor for each channel."""

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values = init_values
        self.gamma = self.add_weight(
            shape=(projection_dim,), initializer=keras.initializers.Constant(init_values)
        )

    def call(self, x: Any, training: bool = False) -> Any:
        """Scale."""
        return x * self.gamma


class TalkingHeadAttention(layers.Layer):
    """Attention whose heads are mixed before and after the softmax."""

    def __init__(self, projection_dim: int, num_heads: int, dropout_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.scale = (projection_dim // num_heads) ** -0.5
        self.qkv = layers.Dense(projection_dim * 3)
        self.attn_drop = layers.Dropout(dropout_rate)
        self.proj = layers.Dense(projection_dim)
        self.proj_l, self.proj_w = layers.Dense(num_heads), layers.Dense(num_heads)

    def call(self, x: Any, training: bool = False) -> Any:
        """The output and the weights."""
        B, N, C = ops.shape(x)[0], ops.shape(x)[1], ops.shape(x)[2]
        qkv = self.qkv(x)
        qkv = ops.reshape(qkv, (B, N, 3, self.num_heads, C // self.num_heads))
        qkv = ops.transpose(qkv, axes=[2, 0, 3, 1, 4])
        scale = ops.cast(self.scale, dtype=qkv.dtype)
        q, k, v = qkv[0] * scale, qkv[1], qkv[2]
        attn = ops.matmul(q, ops.transpose(k, axes=[0, 1, 3, 2]))
        attn = self.proj_l(ops.transpose(attn, axes=[0, 2, 3, 1]))
        attn = ops.transpose(attn, axes=[0, 3, 1, 2])
        attn = ops.nn.softmax(attn, axis=-1)
        attn = self.proj_w(ops.transpose(attn, axes=[0, 2, 3, 1]))
        attn = self.attn_drop(ops.transpose(attn, axes=[0, 3, 1, 2]), training=training)
        x = ops.transpose(ops.matmul(attn, v), axes=[0, 2, 1, 3])
        return self.proj(ops.reshape(x, (B, N, C))), attn


class ClassAttention(layers.Layer):
    """The token of the class attends to itself and to the patches."""

    def __init__(self, projection_dim: int, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_dim = projection_dim // num_heads
        self.q, self.k, self.v = (layers.Dense(projection_dim) for _ in range(3))
        self.proj = layers.Dense(projection_dim)

    def call(self, x: Any, training: bool = False) -> Any:
        """The new token."""
        batch_size, num_patches, num_channels = ops.shape(x)
        q = ops.expand_dims(self.q(x[:, 0]), axis=1)
        q = ops.reshape(q, (batch_size, 1, self.num_heads, num_channels // self.num_heads))
        q = ops.transpose(q, axes=[0, 2, 1, 3]) * ops.cast(self.head_dim**-0.5, dtype=q.dtype)
        k, v = (
            ops.transpose(
                ops.reshape(
                    layer(x), (batch_size, num_patches, self.num_heads, num_channels // self.num_heads)
                ),
                axes=axes,
            )
            for layer, axes in ((self.k, [0, 2, 3, 1]), (self.v, [0, 2, 1, 3]))
        )
        attn = ops.nn.softmax(ops.matmul(q, k), axis=-1)
        x_cls = ops.transpose(ops.matmul(attn, v), axes=[0, 2, 1, 3])
        return self.proj(ops.reshape(x_cls, (batch_size, 1, num_channels)))


class CaiT(keras.Model):
    """Layer scale and talking heads over the patches, then class attention."""

    def __init__(self, dim: int = 32, patches: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.projection = keras.Sequential([layers.Conv2D(dim, 4, 4), layers.Reshape((patches, dim))])
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(3)]
        self.attention = TalkingHeadAttention(dim, 4, 0.1)
        self.class_attention = ClassAttention(dim, 4)
        self.layer_scale = LayerScale(0.1, dim)
        self.cls_token = self.add_weight(shape=(1, 1, dim), initializer="random_normal")
        self.pos_embed = self.add_weight(shape=(1, patches, dim), initializer="random_normal")
        self.head = layers.Dense(10)

    def call(self, x: Any, training: bool = False) -> Any:
        """The logits and the weights of the attention."""
        x = self.projection(x)
        x = x + self.pos_embed
        attended, weights = self.attention(self.norms[0](x), training=training)
        x = x + self.layer_scale(attended)
        cls_tokens = ops.tile(self.cls_token, (ops.shape(x)[0], 1, 1))
        token = self.class_attention(self.norms[1](ops.concatenate([cls_tokens, x], axis=1)))
        return self.head(self.norms[2](token)[:, 0]), weights


def cait() -> keras.Model:
    """CaiT, a subclassed model with two outputs, within a Functional one."""
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, CaiT()(inputs))


def token_learner() -> keras.Model:
    """Eight tokens from all patches, by maps of attention."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(32, 4, strides=4, padding="VALID")(inputs)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    maps = x
    for activation in (*["gelu"] * 3, "sigmoid"):
        maps = layers.Conv2D(8, kernel_size=(3, 3), activation=activation, padding="same", use_bias=False)(
            maps
        )
    maps = layers.Permute((2, 1))(layers.Reshape((-1, 8))(maps))
    flat = layers.Reshape((1, -1, 32))(x)
    attended = maps[..., None] * flat
    tokens = ops.mean(attended, axis=2)
    y = layers.LayerNormalization(epsilon=1e-6)(tokens)
    tokens = layers.Add()([layers.MultiHeadAttention(4, 8)(y, y), tokens])
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAvgPool1D()(tokens)))


class FocalModulation(layers.Layer):
    """Contexts of growing size, gated, that modulate each position."""

    def __init__(self, dim: int, window: int = 3, levels: int = 2, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.levels = levels
        self.initial_proj = layers.Dense(2 * dim + levels + 1)
        self.focal_layers = [
            keras.Sequential(
                [
                    layers.ZeroPadding2D(padding=((factor * i + window) // 2, (factor * i + window) // 2)),
                    layers.Conv2D(
                        dim,
                        factor * i + window,
                        activation=keras.activations.gelu,
                        groups=dim,
                        use_bias=False,
                    ),
                ]
            )
            for i in range(levels)
        ]
        self.gap = layers.GlobalAveragePooling2D(keepdims=True)
        self.modulator_proj = layers.Conv2D(dim, kernel_size=1)
        self.proj = layers.Dense(dim)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Modulate."""
        x_proj = self.initial_proj(x)
        query, context, gates = ops.split(x_proj, [self.dim, 2 * self.dim], axis=-1)
        context_all = 0
        for index in range(self.levels):
            context = self.focal_layers[index](context)
            context_all = context_all + context * gates[..., index : index + 1]
        context_global = keras.activations.gelu(self.gap(context))
        context_all = context_all + context_global * gates[..., self.levels :]
        return self.proj(query * self.modulator_proj(context_all))


def focal_modulation() -> keras.Model:
    """A focal modulation network."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(24, 4, 4)(inputs)
    for _ in range(2):
        x = x + FocalModulation(24)(layers.LayerNormalization(epsilon=1e-5)(x))
        x = x + layers.Dense(24)(layers.Dense(48, activation="gelu")(layers.LayerNormalization()(x)))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


class RotaryAttention(layers.Layer):
    """Causal attention with rotary positions and keys that groups of heads share."""

    def __init__(self, dim: int = 32, heads: int = 4, key_heads: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.heads, self.key_heads = dim, heads, key_heads
        self.query = layers.EinsumDense("btd,dhk->bthk", (None, heads, dim // heads))
        self.key = layers.EinsumDense("btd,dhk->bthk", (None, key_heads, dim // heads))
        self.value = layers.EinsumDense("btd,dhk->bthk", (None, key_heads, dim // heads))
        self.output_dense = layers.EinsumDense("bthk,hkd->btd", (None, dim))

    def rotate(self, x: Any) -> Any:
        """Pairs of features turned by angles that grow with the position."""
        length, size = ops.shape(x)[1], x.shape[-1]
        frequencies = 1.0 / (10000.0 ** (ops.arange(0, size, 2, dtype="float32") / size))
        angles = ops.einsum("i,j->ij", ops.arange(length, dtype="float32"), frequencies)
        angles = ops.concatenate([angles, angles], axis=-1)[None, :, None, :]
        first, second = ops.split(x, 2, axis=-1)
        return x * ops.cos(angles) + ops.concatenate([-second, first], axis=-1) * ops.sin(angles)

    def call(self, x: Any) -> Any:
        """Attend."""
        query, key, value = self.rotate(self.query(x)), self.rotate(self.key(x)), self.value(x)
        key = ops.repeat(key, self.heads // self.key_heads, axis=2)
        value = ops.repeat(value, self.heads // self.key_heads, axis=2)
        logits = ops.einsum("bthk,bshk->bhts", query, key) / np.sqrt(self.dim // self.heads)
        length = ops.shape(x)[1]
        mask = ops.tril(ops.ones((length, length), dtype="bool"))
        logits = ops.where(mask, logits, ops.cast(-1e9, logits.dtype))
        return self.output_dense(ops.einsum("bhts,bshk->bthk", ops.softmax(logits, axis=-1), value))


class RMSNorm(layers.Layer):
    """x / sqrt(mean(x^2)) times a scale."""

    def build(self, input_shape: Any) -> None:
        """Make the scale."""
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, x: Any) -> Any:
        """Normalize."""
        return x * ops.rsqrt(ops.mean(ops.power(x, 2), axis=-1, keepdims=True) + 1e-6) * self.scale


def rotary_language_model() -> tuple[keras.Model, list[np.ndarray]]:
    """A language model with rotary positions, RMS normalization, gated units and tied embeddings."""
    inputs = keras.Input((None,), dtype="int32")
    embedding = layers.ReversibleEmbedding(200, 32) if hasattr(layers, "ReversibleEmbedding") else None
    x = (embedding or layers.Embedding(200, 32))(inputs)
    for _ in range(2):
        x = x + RotaryAttention()(RMSNorm()(x))
        y = RMSNorm()(x)
        x = x + layers.Dense(32)(
            ops.silu(layers.Dense(64, use_bias=False)(y)) * layers.Dense(64, use_bias=False)(y)
        )
    x = RMSNorm()(x)
    outputs = embedding(x, reverse=True) if embedding is not None else layers.Dense(200)(x)
    return keras.Model(inputs, outputs), [padded_ids(24, 200)]


class CaptionDecoder(layers.Layer):
    """Words attend to preceding words that exist, and to an image."""

    def __init__(self, dim: int = 32, vocabulary: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tokens = layers.Embedding(vocabulary, dim, mask_zero=True)
        self.positions = layers.Embedding(20, dim)
        self.embed_scale = ops.sqrt(ops.cast(dim, "float32"))
        self.own, self.cross = layers.MultiHeadAttention(2, dim), layers.MultiHeadAttention(2, dim)
        self.norms = [layers.LayerNormalization() for _ in range(2)]
        self.out = layers.Dense(vocabulary, activation="softmax")
        self.supports_masking = True

    def call(self, words: Any, image: Any, training: bool = False) -> Any:
        """The probabilities of the next word, at each position."""
        mask = self.tokens.compute_mask(words)
        length = ops.shape(words)[-1]
        x = self.tokens(words) * self.embed_scale + self.positions(ops.arange(0, length, 1))
        i = ops.arange(length)[:, None]
        causal = ops.cast(i >= ops.arange(length), dtype="int32")
        causal = ops.broadcast_to(causal[None], (ops.shape(words)[0], length, length))
        combined = ops.minimum(ops.cast(mask[:, None, :], dtype="int32"), causal)
        x = self.norms[0](x + self.own(x, x, attention_mask=combined, training=training))
        padding = ops.cast(mask[:, :, None], dtype="int32")
        return self.out(self.norms[1](x + self.cross(x, image, attention_mask=padding, training=training)))


def captions() -> tuple[keras.Model, list[np.ndarray]]:
    """Image captions: a convolutional encoder and a transformer decoder."""
    image, words = keras.Input((32, 32, 3)), keras.Input((None,), dtype="int64")
    x = layers.Conv2D(16, 3, 2, activation="relu")(image)
    x = layers.Reshape((-1, 32))(layers.Conv2D(32, 3, 2, activation="relu")(x))
    x = layers.Dense(32, activation="relu")(layers.LayerNormalization()(x))
    rng = np.random.default_rng(0)
    ids = padded_ids(12, 100).astype("int64")
    data = [rng.uniform(0, 1, (len(ids), 32, 32, 3)).astype("float32"), ids]
    return keras.Model([image, words], CaptionDecoder()(words, x)), data


class SpeechFeatureEmbedding(layers.Layer):
    """Strided convolutions over a spectrogram."""

    def __init__(self, num_hid: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.convs = [
            layers.Conv1D(num_hid, 11, strides=2, padding="same", activation="relu") for _ in range(3)
        ]

    def call(self, x: Any) -> Any:
        """An eighth of the length."""
        for conv in self.convs:
            x = conv(x)
        return x


def speech_transformer() -> keras.Model:
    """Speech to text by a transformer: a spectrogram of any length, and the preceding letters."""
    source, target = keras.Input((None, 40)), keras.Input((None,), dtype="int32")
    x = SpeechFeatureEmbedding()(source)
    x = layers.LayerNormalization(epsilon=1e-6)(x + layers.MultiHeadAttention(2, 16)(x, x))
    y = layers.Embedding(34, 32)(target)
    y = layers.LayerNormalization(epsilon=1e-6)(
        y + layers.MultiHeadAttention(2, 16)(y, y, use_causal_mask=True)
    )
    y = layers.LayerNormalization(epsilon=1e-6)(y + layers.MultiHeadAttention(2, 16)(y, x))
    return keras.Model([source, target], layers.Dense(34)(y))


DESIGNS = {
    "CaiT": cait,
    "token learner": token_learner,
    "focal modulation": focal_modulation,
    "language model, rotary": rotary_language_model,
    "image captions": captions,
    "speech transformer": speech_transformer,
}
