"""The layouts of images: 'nhwc', as in Keras, with the channels last, and 'nchw', with the channels first.

The options `input_layout` and `output_layout` choose the layout of the graph's inputs and outputs of 3 or more axes.
NumPy is all it needs, so that inference can use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np

Layout = Literal["nhwc", "nchw"]
LAYOUTS: tuple[Layout, ...] = ("nhwc", "nchw")
LEAST_RANK = 3  # of what has channels besides the batch

T = TypeVar("T")


def is_nchw(rank: int, layout: Layout) -> bool:
    """Whether an input or output of so many axes has its channels first in the graph."""
    return layout == "nchw" and rank >= LEAST_RANK


def graph_shape(shape: Sequence[T], layout: Layout) -> tuple[T, ...]:
    """The shape that the graph has for a Keras shape, (n, ..., channels)."""
    return (shape[0], shape[-1], *shape[1:-1]) if is_nchw(len(shape), layout) else tuple(shape)


def keras_shape(shape: Sequence[T], layout: Layout) -> tuple[T, ...]:
    """The shape that Keras has for a shape in the graph."""
    return (shape[0], *shape[2:], shape[1]) if is_nchw(len(shape), layout) else tuple(shape)


def to_graph(array: np.ndarray, layout: Layout) -> np.ndarray:
    """An array in Keras' layout as the graph has it."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if is_nchw(array.ndim, layout) else array


def to_keras(array: np.ndarray, layout: Layout) -> np.ndarray:
    """An array of the graph in Keras' layout."""
    return np.moveaxis(array, 1, -1) if is_nchw(array.ndim, layout) else array
