"""What differs between Keras' backends: values as NumPy arrays, gradients, sizes of numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np


def as_numpy(x: Any) -> np.ndarray:
    """The value of a variable, a tensor, an array or a number.

    A tensor of PyTorch that records gradients, or is on a GPU, is no array for NumPy. It is for Keras.
    """
    return keras.ops.convert_to_numpy(x) if is_tensor(x) else np.asarray(x)


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor of the backend, with a value."""
    return keras.ops.is_tensor(x) and not isinstance(x, (keras.KerasTensor, keras.Variable))


def same_dtype(got: np.dtype, of_keras: np.dtype) -> bool:
    """Whether the dtype of a graph's output is that of Keras' output.

    JAX computes in 32 bits what Keras declares to have 64, and PyTorch the other way round. The graph has what Keras
    declares.
    """
    if keras.backend.backend() == "tensorflow":
        return got == of_keras
    return got == of_keras or (got.kind == of_keras.kind and {got.itemsize, of_keras.itemsize} == {4, 8})


@contextlib.contextmanager
def without_gradients() -> Iterator[None]:
    """Keep PyTorch from recording gradients, which would keep every tensor in memory."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.no_grad():
        yield
