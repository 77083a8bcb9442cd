"""What Keras holds, variables and tensors of any backend, as NumPy arrays."""

from __future__ import annotations

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
