"""The memory that the variables of a Keras model need, found before any of them is allocated."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from export.limits import check_size

LARGEST_ITEM = 8  # bytes, of a dtype that NumPy doesn't have, such as bfloat16


def check_variables(path: Path, build: Callable[[], object]) -> None:
    """Check that the variables of a model are of a size that its file justifies.

    A configuration of a few bytes can ask for a layer of any size. In a StatelessScope Keras gives a variable its
    shape but no values. Keras keeps a list of such variables in each thread and initializes them later, so the model
    is built in a thread of its own, whose list ends with it.

    A layer that creates a variable from values, not from an initializer, can't be built in this way, and its model
    isn't checked. Of Keras' own layers, only stateful recurrent ones do so.

    Args:
        path: the file.
        build: builds the model, as it is going to be built.

    Raises:
        UserError: the variables take more memory than the file justifies.
        Exception: whatever `build` raises.
    """

    def build_without_values() -> object:
        with keras.StatelessScope(initialize_variables=False):
            return build()

    with ThreadPoolExecutor(1) as thread:
        try:
            model = thread.submit(build_without_values).result()
        except (TypeError, ValueError) as error:  # Keras raises the one, and wraps it in the other
            if "in a stateless scope" not in str(error):
                raise
            return
    if isinstance(model, keras.Model):
        check_size(path, "variables", sum(_size(variable) for variable in model.weights))


def _size(variable: keras.Variable) -> int:
    try:
        item = np.dtype(variable.dtype).itemsize
    except TypeError:
        item = LARGEST_ITEM
    return math.prod(variable.shape) * item
