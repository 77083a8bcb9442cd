"""Patches, windows and blocks of pixels, against Keras."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers as L
from keras import ops

from tests.export.helpers import check_operations, converted, functional, in_either_layout, kinds

CASES: dict[str, Callable[[Any], Any]] = {
    "patches side by side": lambda x: ops.image.extract_patches(x[:, :4], (2, 3)),
    "patches of a fixed batch": lambda x: ops.image.extract_patches(ops.stack([x[0, :4], x[-1, :4]]), 2),
    "patches that overlap": lambda x: ops.image.extract_patches(x, (3, 2), strides=2, padding="same"),
    "patches with gaps": lambda x: ops.image.extract_patches(x, 2, dilation_rate=2, strides=1),
    "patches of what doesn't divide": lambda x: ops.image.extract_patches(x, 2),
    "patches of a single image": lambda x: ops.image.extract_patches(ops.max(x, 0), 2),
    "patches, channels first": lambda x: ops.image.extract_patches(x, 2, data_format="channels_first"),
    "extract_sequences": lambda x: ops.extract_sequences(x, 3, 2),
    "extract_sequences that are too long": lambda x: ops.extract_sequences(x, 4, 1),
}
NEW_CASES: dict[str, Callable[[Any], Any]] = {
    "unfold": lambda x: ops.unfold(x, 2),
    "unfold with all arguments": lambda x: ops.unfold(
        x, (3, 2), dilation=(2, 1), padding=(1, 2), stride=(2, 1)
    ),
    "space_to_depth": lambda x: ops.space_to_depth(x[:, :4], 2),
    "space_to_depth, channels first": lambda x: ops.space_to_depth(x[:, :, :4], 2, "channels_first"),
    "depth_to_space": lambda x: ops.depth_to_space(x, 2),
    "depth_to_space, channels first": lambda x: ops.depth_to_space(
        ops.concatenate([x] * 4, axis=1), 2, "channels_first"
    ),
    "patches of volumes": lambda x: ops.image.extract_patches_3d(ops.stack([x, 2 * x], axis=1), (2, 5, 2)),
    "patches of volumes that overlap": lambda x: ops.image.extract_patches_3d(
        ops.stack([x, 2 * x], axis=1), (1, 3, 2), strides=1
    ),
}


@in_either_layout
def test_operations(channels_first: bool) -> None:
    check_operations(CASES, channels_first)


@pytest.mark.skipif(not hasattr(ops, "unfold"), reason="this version of Keras doesn't have them")
@in_either_layout
def test_new_operations(channels_first: bool) -> None:
    check_operations(NEW_CASES, channels_first)


@pytest.mark.slow  # Keras takes half a minute to trace it
@pytest.mark.skipif(not hasattr(ops, "fold"), reason="this version of Keras doesn't have it")
def test_fold() -> None:
    options: dict[str, Any] = {"dilation": (2, 1), "padding": (1, 2), "stride": (4, 2)}
    x = keras.Input((12, 10), name="x")
    converted(keras.Model(x, [ops.fold(x, (3, 6), 2), ops.fold(x, (8, 6), (3, 2), **options)]))


def test_patches_side_by_side_are_one_transpose() -> None:
    model = functional((8, 8, 3), L.Lambda(lambda x: ops.image.extract_patches(x, 4)), L.Dense(5))
    assert kinds(converted(model)) == ["Reshape", "Transpose", "Reshape", "MatMul", "Add"]


def test_sequences_of_a_dynamic_length() -> None:
    x = keras.Input((None,), name="x")
    converted(keras.Model(x, ops.extract_sequences(x, 5, 3)))
