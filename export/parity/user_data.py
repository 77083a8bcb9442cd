"""The user's own inputs for the parity check, from a .npz file."""

from __future__ import annotations

import keras
import numpy as np

from export.arrays import read_npz
from export.errors import UserError
from export.parity.oracle import Inputs
from export.signature import input_names


def load_check_data(path: str, model: keras.Model) -> Inputs:
    """The arrays of a .npz file for the model's inputs: by the inputs' names, else x_test, x or the only one.

    Raises:
        UserError: the file can't be read, or its arrays are not what the model takes.
    """
    symbolic = keras.tree.flatten(model.inputs)
    inputs = input_names(model)

    def choose(names: list[str]) -> list[str]:
        if all(name in names for name in inputs):
            return inputs
        if len(inputs) > 1:
            raise UserError(f"{path}: expected the arrays {', '.join(inputs)}, got {', '.join(names)}")
        known = next((name for name in ("x_test", "x") if name in names), None)
        if known is None and len(names) != 1:
            raise UserError(
                f"{path}: expected an array named {inputs[0]}, x_test or x, got {', '.join(names)}"
            )
        return [known or names[0]]

    chosen = read_npz(path, choose)
    result = []
    for name, array, tensor in zip(inputs, chosen, symbolic, strict=True):
        if array.ndim == len(tensor.shape) - 1 and tensor.shape[-1] == 1:
            array = array[..., np.newaxis]
        is_text = str(tensor.dtype) == "string"
        fits = array.ndim == len(tensor.shape) and len(array) > 0
        fits = fits and array.dtype.kind in ("U" if is_text else "buif")
        kind = "strings" if is_text else "numbers"
        fits = fits and all(
            want in (None, got) for want, got in zip(tensor.shape[1:], array.shape[1:], strict=True)
        )
        if not fits:
            raise UserError(
                f"{path}: expected {kind} of shape {('n', *tensor.shape[1:])} for input {name!r}, "
                f"got {array.dtype} {array.shape}"
            )
        result.append(array)
    return result


def load_labels(path: str, rows: int) -> np.ndarray | None:
    """The true classes in a .npz file, its array y_test, y or labels; None if it has none of them.

    Args:
        path: the file.
        rows: how many rows the inputs in it have.

    Raises:
        UserError: the file can't be read, or has labels for another number of rows.
    """
    found = read_npz(path, lambda names: [name for name in ("y_test", "y", "labels") if name in names][:1])
    if not found:
        return None
    labels = found[0]
    if labels.ndim == 0 or len(labels) != rows or labels.dtype.kind not in "buif":
        raise UserError(
            f"{path}: expected labels for {rows:,} rows, numbers of shape ({rows}, ...), got {labels.dtype} "
            f"{labels.shape}"
        )
    return labels
