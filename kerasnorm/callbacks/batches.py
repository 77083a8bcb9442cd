"""Batches of data in any form that `model.fit` takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from export.errors import UserError

# Arrays of one structure: an array, or a list, tuple or dict of arrays, one for each input or output of a model.
Arrays = Any


class Batches:
    """Data that can be read again and again, batch by batch.

    Args:
        x: an array, a tensor, a list of numbers, or a list or dict of arrays for several inputs; or a dataset of
            batches: a tf.data.Dataset, a PyDataset, or another object that can be iterated more than once. A batch of
            a dataset is x, (x, y) or (x, y, sample_weight).
        y: labels if `x` is not a dataset; an array, or a list or dict of arrays for several outputs.
        batch_size: images per batch if `x` is not a dataset.
        name: what the data is for, for messages.

    Raises:
        UserError: there is no data, it is endless or can be read only once, or the arrays differ in length.
    """

    def __init__(self, x: Any, y: Any = None, *, batch_size: int, name: str) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size: expected 1 or more, got {batch_size}")
        self.is_dataset = not hasattr(x, "shape") and not isinstance(x, (list, tuple, dict))
        self.name, self.batch_size = name, batch_size
        if self.is_dataset:
            _check_dataset(x, y, name)
            self._dataset = x
            return
        self.x, self.y = _arrays(x), None if y is None else _arrays(y)
        lengths = {
            len(leaf) if leaf.ndim else 0 for leaf in keras.tree.flatten((self.x, self.y)) if leaf is not None
        }
        if len(lengths) != 1:
            shapes = [leaf.shape for leaf in keras.tree.flatten(self.x)]
            labels = [leaf.shape for leaf in keras.tree.flatten(self.y) if leaf is not None]
            raise UserError(
                f"{name}: expected one label for each image, got x of shape {_shown(shapes)} and y of shape "
                f"{_shown(labels)}"
                if y is not None
                else f"{name}: expected inputs of one length, got shapes {_shown(shapes)}"
            )
        (self.length,) = lengths
        if self.length == 0:
            raise UserError(f"{name}: expected images, got none")

    def __iter__(self) -> Iterator[tuple[Arrays, Arrays]]:
        """Yield (x, y) of each batch; y is None if there are no labels."""
        if not self.is_dataset:
            for start in range(0, self.length, self.batch_size):
                part = slice(start, start + self.batch_size)
                yield _take(self.x, part), None if self.y is None else _take(self.y, part)
            return
        for batch in _iterate(self._dataset):
            x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
            yield x, y


def _take(arrays: Arrays, part: slice) -> Arrays:
    return keras.tree.map_structure(lambda leaf: leaf[part], arrays)


def size(x: Arrays) -> int:
    """Return the number of images in a batch."""
    return int(keras.tree.flatten(x)[0].shape[0])


def _check_dataset(x: Any, y: Any, name: str) -> None:
    if y is not None:
        raise UserError(f"{name}: expected no y beside a dataset, which has its labels with it")
    if isinstance(x, keras.utils.PyDataset):
        if x.num_batches is None:
            raise UserError(f"{name}: expected a finite dataset, got a PyDataset without num_batches")
        return
    if not hasattr(x, "__iter__") or hasattr(x, "__next__"):
        raise UserError(
            f"{name}: expected arrays or a dataset that can be read more than once, got {type(x).__name__}"
        )
    # tf.data.INFINITE_CARDINALITY is -1
    if hasattr(x, "cardinality") and int(x.cardinality()) == -1:
        raise UserError(f"{name}: expected a finite dataset, got an endless one; give dataset.take(batches)")


def _iterate(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, keras.utils.PyDataset):
        return (dataset[index] for index in range(dataset.num_batches))
    if hasattr(dataset, "as_numpy_iterator") and keras.backend.backend() != "tensorflow":
        return iter(dataset.as_numpy_iterator())  # other backends don't take TensorFlow's tensors
    return iter(dataset)


def _arrays(x: Any) -> Arrays:
    """Return arrays and tensors as NumPy arrays, in their structure; a list of numbers is one array."""
    if isinstance(x, dict):
        return {key: _arrays(value) for key, value in x.items()}
    leaves = keras.tree.flatten(x)
    if isinstance(x, (list, tuple)) and not all(
        hasattr(leaf, "shape") and len(leaf.shape) for leaf in leaves
    ):
        return np.asarray(x)
    return keras.tree.map_structure(
        lambda leaf: leaf if isinstance(leaf, np.ndarray) else keras.ops.convert_to_numpy(leaf), x
    )


def _shown(shapes: list[tuple[int, ...]]) -> str:
    return str(shapes[0] if len(shapes) == 1 else shapes)
