"""Custom layers of keras-cv-attention-models in Keras 3, for `python -m export MODEL.h5 --import kecam_layers.py`.

They have the weights, arguments and outputs of the package's layers of the same names.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

ops = keras.ops

Shape = tuple[int, ...]


def hard_swish(x: Any) -> Any:
    """x * relu6(x + 3) / 6."""
    return x * ops.relu6(x + 3) / 6


def hard_sigmoid_torch(x: Any) -> Any:
    """relu6(x + 3) / 6."""
    return ops.relu6(x + 3) / 6


class ChannelAffine(keras.layers.Layer):
    """x * weight + bias, a value for each channel."""

    def __init__(self, use_bias: bool = True, axis: int | list[int] = -1, **options: Any) -> None:
        super().__init__(**options)
        self.use_bias = use_bias
        self.axis = axis

    def build(self, input_shape: Shape) -> None:
        """Create the weights."""
        axes = [
            axis % len(input_shape) for axis in (self.axis if isinstance(self.axis, list) else [self.axis])
        ]
        shape = [size if axis in axes else 1 for axis, size in enumerate(input_shape)][1:]
        shape = shape[-1:] if axes == [len(input_shape) - 1] else shape
        self.weight = self.add_weight(shape=shape, initializer="ones", name="weight")
        self.bias = self.add_weight(shape=shape, initializer="zeros", name="bias") if self.use_bias else None

    def call(self, x: Any) -> Any:
        """Scale and shift."""
        return x * self.weight if self.bias is None else x * self.weight + self.bias


def _positions(height: int, width: int) -> np.ndarray:
    """The two coordinates of each position of a grid, in the package's order."""
    return np.stack(np.meshgrid(range(height), range(width)), axis=-1).reshape(-1, 2)


class MultiHeadRelativePositionalEmbedding(keras.layers.Layer):
    """Attention scores, with a bias for each distance of two positions and each head.

    With a class token there are three more distances: from it, to it, and to itself.
    """

    def __init__(
        self, with_cls_token: bool = True, attn_height: int = -1, num_heads: int = -1, **options: Any
    ) -> None:
        super().__init__(**options)
        self.with_cls_token = with_cls_token
        self.attn_height = attn_height
        self.num_heads = num_heads

    def build(self, input_shape: Shape) -> None:
        """Create the weights, and the number of the distance of each pair of positions."""
        tokens = int(self.with_cls_token)
        count = input_shape[2] - tokens
        height = math.isqrt(count) if self.attn_height == -1 else self.attn_height
        width = count // height
        distances = (2 * height - 1) * (2 * width - 1)
        heads = input_shape[1] if self.num_heads == -1 else self.num_heads
        self.embedding = self.add_weight(
            shape=(heads, distances + 3 * tokens), initializer="zeros", name="positional_embedding"
        )
        positions = _positions(height, width)
        apart = positions[:, None] - positions[None]
        index = apart[..., 0] + height - 1 + (apart[..., 1] + width - 1) * (2 * height - 1)
        index = index[:, -(input_shape[3] - tokens) :]
        if tokens:
            index = np.pad(index, ((1, 0), (1, 0)))
            index[0], index[1:, 0], index[0, 0] = distances, distances + 1, distances + 2
        self.index = index

    def call(self, x: Any) -> Any:
        """Add the biases."""
        return x + ops.take(self.embedding, self.index[: x.shape[2], : x.shape[3]], axis=1)


class MultiHeadPositionalEmbedding(keras.layers.Layer):
    """Attention scores, with a bias for each absolute distance of a query and a key, and each head."""

    def __init__(self, query_height: int = -1, key_height: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.query_height = query_height
        self.key_height = key_height

    def build(self, input_shape: Shape) -> None:
        """Create the weights, and the number of the distance of each query and key."""
        _, heads, queries, keys = input_shape
        self.embedding = self.add_weight(
            shape=(keys, heads), initializer="zeros", name="positional_embedding"
        )
        height = math.isqrt(queries) if self.query_height == -1 else self.query_height
        stride = math.ceil(math.sqrt(keys / queries))
        key_height = self.key_height
        if key_height == -1:
            key_height = next(one for one in range(height * stride, 0, -1) if keys % one == 0)
        apart = (
            _positions(key_height, keys // key_height)[None]
            - stride * _positions(height, queries // height)[:, None]
        )
        apart = np.abs(apart)
        self.index = apart[..., 0] + apart[..., 1] * key_height

    def call(self, x: Any) -> Any:
        """Add the biases."""
        return x + ops.transpose(ops.take(self.embedding, self.index, axis=0), (2, 0, 1))


class RelativePositionalEmbedding(keras.layers.Layer):
    """Products of queries with embeddings of the distances to all positions, along height and along width."""

    def __init__(self, position_height: int = 0, position_width: int = 0, **options: Any) -> None:
        for name in ("use_absolute_pos", "dynamic_shape"):
            if options.pop(name, False):
                raise ValueError(f"{name} is unsupported")
        super().__init__(**options)

    def build(self, input_shape: Shape) -> None:
        """Create the weights."""
        _, _, height, width, channels = input_shape
        self.along_height = self.add_weight(shape=(channels, 2 * height - 1), name="r_height")
        self.along_width = self.add_weight(shape=(channels, 2 * width - 1), name="r_width")

    def call(self, x: Any) -> Any:
        """(batch, heads, height, width, channels) to (batch, heads, height, width, height, width)."""
        logits = []
        for size, embedding in ((x.shape[2], self.along_height), (x.shape[3], self.along_width)):
            index = np.arange(size)[None] - np.arange(size)[:, None] + size - 1  # (from, to)
            logits.append(ops.take(embedding, index, axis=1))  # (channels, from, to)
        down = ops.einsum("bnhwc,chp->bnhwp", x, logits[0])
        right = ops.einsum("bnhwc,cwq->bnhwq", x, logits[1])
        return ops.expand_dims(down, -1) + ops.expand_dims(right, -2)


class PositionalEncodingFourier(keras.layers.Layer):
    """x plus a projection of sines and cosines of the position."""

    def __init__(self, filters: int = 32, temperature: float = 1e4, **options: Any) -> None:
        super().__init__(**options)
        self.filters = filters
        self.temperature = temperature

    def build(self, input_shape: Shape) -> None:
        """Create the weights, and the sines and cosines."""
        _, height, width, channels = input_shape
        waves = []
        for size in (height, width):
            position = (np.arange(size) + 1) / (size + 1e-6) * 2 * math.pi
            angle = position[:, None] / self.temperature ** (
                2 * (np.arange(self.filters) // 2) / self.filters
            )
            wave = np.stack([np.sin(angle[:, 0::2]), np.cos(angle[:, 1::2])], axis=-1)
            waves.append(wave.reshape(size, -1))
        shape = (height, width, self.filters)
        down, right = np.broadcast_to(waves[0][:, None], shape), np.broadcast_to(waves[1][None], shape)
        self.waves = np.concatenate([down, right], axis=-1).astype(np.float32)
        self.kernel = self.add_weight(shape=(2 * self.filters, channels), name="ww")
        self.bias = self.add_weight(shape=(channels,), initializer="zeros", name="bb")

    def call(self, x: Any) -> Any:
        """Add the encoding."""
        return x + (ops.matmul(self.waves, self.kernel) + self.bias)
