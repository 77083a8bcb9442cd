"""Custom layers that calculate with dynamic sizes, against Keras at several sizes."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operations, converted, kinds, randomize


class Custom(keras.layers.Layer):
    """A layer whose call is a function."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.function = function
        self.table = self.add_weight(shape=(1, 40, 6), name="table")
        self.numbers = ops.expand_dims(ops.arange(40.0), 1)

    def call(self, x: Any) -> Any:
        return self.function(self, x)


def rows_and_columns(layer: Any, x: Any) -> Any:
    batch, length = ops.shape(x)[:2]
    return ops.reshape(x, (batch, length, 2, 3))


CASES: dict[str, Callable[[Any, Any], Any]] = {
    "reshape": lambda layer, x: ops.reshape(x, (ops.shape(x)[0], -1, 2)),
    "reshape, two sizes": rows_and_columns,
    "reshape, product": lambda layer, x: ops.reshape(x, (ops.shape(x)[0] * ops.shape(x)[1], 6)),
    "reshape to a tensor": lambda layer, x: ops.reshape(x, ops.stack([ops.shape(x)[0], ops.shape(x)[1] * 6])),
    "reshape of another tensor": lambda layer, x: ops.reshape(x * 2.0, (ops.shape(x)[0], -1, 3)),
    "broadcast_to": lambda layer, x: ops.broadcast_to(layer.table[:, :3], (ops.shape(x)[0], 3, 6)),
    "broadcast_to the own size": lambda layer, x: ops.broadcast_to(x[:, :, :1], ops.shape(x)),
    "class token": lambda layer, x: ops.concatenate(
        [ops.broadcast_to(layer.table[:, :1], (ops.shape(x)[0], 1, 6)), x], axis=1
    ),
    "repeat a row": lambda layer, x: ops.repeat(layer.table[:, :2], ops.shape(x)[0], axis=0),
    "repeat": lambda layer, x: ops.repeat(x[:, :, :2], ops.shape(x)[1], axis=-1),
    "repeat all": lambda layer, x: ops.repeat(x, ops.shape(x)[1]),
    "tile": lambda layer, x: ops.tile(layer.table[:, :2], (ops.shape(x)[0], 1, 1)),
    "product of sizes": lambda layer, x: x / ops.cast(ops.prod(ops.shape(x)[1:]), "float32"),
    "sizes as a tensor": lambda layer, x: x + ops.cast(ops.convert_to_tensor(ops.shape(x))[1], "float32"),
    "array of sizes": lambda layer, x: ops.reshape(x, ops.array([ops.shape(x)[0], 6 * ops.shape(x)[1]])),
    "segments of a size": lambda layer, x: ops.segment_sum(
        x[:, 0], ops.cast(x[:, 0, 0] > 0, "int32"), ops.shape(x)[0] + 1
    ),
    "largest of segments": lambda layer, x: ops.segment_max(
        x[:, 0], ops.arange(ops.shape(x)[0]), num_segments=ops.shape(x)[0]
    ),
    "grid of indices": lambda layer, x: (
        0.5
        * ops.cast(  # Keras declares float32 for the grid
            ops.stack(ops.meshgrid(ops.arange(ops.shape(x)[1]), ops.arange(3), indexing="ij")), "float32"
        )
    ),
    "new first axis": lambda layer, x: 2 * x[None][..., :1],
    "tile to more axes": lambda layer, x: ops.tile(layer.table[0, :2], (ops.shape(x)[0], 1, 1)),
    "positions": lambda layer, x: x + ops.take(layer.table[0], ops.arange(ops.shape(x)[1]), axis=0),
    "cropped positions": lambda layer, x: x + layer.table[:, : ops.shape(x)[1]],
    "cropped constant": lambda layer, x: x + layer.numbers[: ops.shape(x)[1]],
    "array with a size": lambda layer, x: x / ops.array([1, 2, 3, 4, 5, ops.shape(x)[1]], dtype="float32"),
    "convert_to_tensor": lambda layer, x: x * ops.cast(ops.convert_to_tensor(ops.shape(x)[1]), "float32"),
    "arange": lambda layer, x: ops.arange(1, ops.shape(x)[1] + 1, 2, dtype="float32"),
    "zeros": lambda layer, x: ops.concatenate([ops.zeros((ops.shape(x)[0], 2, 6)), x], axis=1),
    "ones": lambda layer, x: ops.ones((1, *ops.shape(x)[1:])) + x,
    "full": lambda layer, x: ops.full(ops.shape(x), 2, "int32"),
    "full of a tensor": lambda layer, x: ops.full(ops.shape(x)[:2], ops.max(x)),
    "eye": lambda layer, x: ops.eye(ops.shape(x)[1], k=1),
    "identity": lambda layer, x: ops.identity(ops.shape(x)[1]),
    "slice": lambda layer, x: x[:, ops.shape(x)[1] - 1 :] + x[:, -1:, ::2][..., :1],
    "index": lambda layer, x: x[:, ops.shape(x)[1] - 1, None, 2:],
    "ops.slice": lambda layer, x: ops.slice(x, (0, 0, 1), (ops.shape(x)[0], 1, -1)),
    "ops.slice from a size": lambda layer, x: ops.slice(x, (0, ops.shape(x)[1] - 1, 1), (-1, 1, 2)),
    "pad": lambda layer, x: ops.pad(x, ((0, 0), (0, 40 - ops.shape(x)[1]), (0, 0)), constant_values=1.5),
    "rearrange": lambda layer, x: ops.rearrange(x, "b t (h c) -> (b t) c h", h=2),
    "size": lambda layer, x: ops.size(x),
    "numbers": lambda layer, x: x / ops.cast(ops.shape(x)[1], "float32"),
    "as a tensor": lambda layer, x: ops.stack(ops.shape(x)[:2]),
}


def test_custom_layers() -> None:
    layers = {name: Custom(function) for name, function in CASES.items() if "rearrange" not in name}
    check_operations(layers, shape=(None, 6), sizes=[(1, 5, 6), (3, 8, 6), (2, 1, 6)])


@pytest.mark.skipif(not hasattr(ops, "rearrange"), reason="this version of Keras doesn't have it")
def test_rearrange() -> None:
    x = keras.Input((None, 6), name="x")
    converted(keras.Model(x, Custom(CASES["rearrange"])(x)))


def test_reshape_that_keeps_the_own_sizes_computes_no_shape() -> None:
    x = keras.Input((None, 6), name="x")
    assert kinds(converted(keras.Model(x, Custom(CASES["reshape"])(x)))) == ["Reshape"]
    assert kinds(converted(keras.Model(x, Custom(CASES["reshape, two sizes"])(x)))) == ["Reshape"]


def test_remaining_size_is_known_where_the_dynamic_dimension_is_kept() -> None:
    x = keras.Input((4, 6), name="x")
    y = Custom(lambda layer, x: ops.reshape(x, (ops.shape(x)[0], -1, 2)) * np.ones((12, 1)))(x)
    converted(keras.Model(x, y))


class Tokens(keras.layers.Layer):
    """The patches of images with a class token and positions, as vision transformers begin."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.patch, self.width = patch, width
        self.projection = L.Dense(width)

    def build(self, shape: Any) -> None:
        number = (shape[1] // self.patch) * (shape[2] // self.patch)
        self.projection.build((None, number, self.patch**2 * shape[3]))
        self.class_token = self.add_weight(shape=(1, 1, self.width), name="class_token")
        self.positions = self.add_weight(shape=(1, number + 1, self.width), name="positions")

    def call(self, images: Any) -> Any:
        batch = ops.shape(images)[0]
        patches = ops.image.extract_patches(images, self.patch)
        patches = ops.reshape(patches, (batch, -1, patches.shape[-1]))
        tokens = ops.broadcast_to(self.class_token, (batch, 1, self.width))
        return ops.concatenate([tokens, self.projection(patches)], axis=1) + self.positions


def vision_transformer() -> keras.Model:
    images = keras.Input((8, 8, 3), name="images")
    x = Tokens(4, 12)(images)
    for _ in range(2):
        y = L.LayerNormalization(epsilon=1e-6)(x)
        x = L.Add()([x, L.MultiHeadAttention(2, 6)(y, y)])
        y = L.Dense(24, activation="gelu")(L.LayerNormalization(epsilon=1e-6)(x))
        x = L.Add()([x, L.Dense(12)(y)])
    return randomize(keras.Model(images, L.Dense(5)(L.LayerNormalization()(x)[:, 0])))


def test_vision_transformer() -> None:
    assert converted(vision_transformer(), rtol=1e-3, atol=1e-4).route == "direct"


@pytest.mark.parametrize("decides", [lambda size: size > 3, lambda size: size == 1], ids=["more", "equal"])
def test_size_that_decides_something_is_unsupported(decides: Callable[[Any], bool]) -> None:
    x = keras.Input((None, 6), name="x")
    layer = Custom(lambda layer, x: x * 2.0 if decides(ops.shape(x)[1]) else x)
    layer.compute_output_spec = lambda x: keras.KerasTensor(x.shape)
    with pytest.raises(
        UserError, match=r"its call can't be traced into keras\.ops: A symbolic KerasTensor cannot"
    ):
        converted(keras.Model(x, layer(x)))
