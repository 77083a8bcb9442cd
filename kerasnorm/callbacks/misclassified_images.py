"""MisclassifiedImages: the images that a trained model gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from export.errors import UserError
from kerasnorm.callbacks.batches import Arrays, Batches, size


class MisclassifiedImages(keras.callbacks.Callback):
    """Collect the images that the model gets wrong after the last epoch.

    The images are collected once, when training ends, so that training is not slowed down. At most `limit` images
    are kept, whatever the size of the data.

    An output of several numbers is taken for the scores of the classes: the largest wins, whether they are
    probabilities or logits. An output of one number decides between class 0 and class 1, with the threshold 0.5 of a
    probability or 0 of a logit.

    Args:
        x: images, (n, ...), as the model takes them; a list or dict of arrays for a model with several inputs, whose
            first one is kept as images; or a dataset of batches (x, y) (tf.data.Dataset, PyDataset).
        y: labels, (n,) or (n, 1) whole numbers, or (n, classes) one-hot; a list or dict of them for a model with
            several outputs; None if `x` is a dataset.
        limit: largest number of images to keep, 1 or more.
        batch_size: images per prediction, for arrays.
        output: name or position of the output, for a model with several outputs.
        from_logits: whether an output of one number is a logit; None: what the model's loss says, or else a
            probability.

    Attributes:
        images: the first `limit` misclassified images, (k, ...), in the order and dtype of `x`.
        predicted: their predicted classes, (k,).
        actual: their labels, (k,).
        indices: their positions in `x`, (k,).
        count: number of all misclassified images.
        confusion: (classes, classes): all images of each class (row) by predicted class (column).

    Raises:
        UserError: `x` and `y` differ in length, the labels or the model's output are not those of one class each, or
            an output is NaN.

    Examples:
        >>> wrong = MisclassifiedImages(x_test, y_test)
        >>> model.fit(x_train, y_train, epochs=5, callbacks=[wrong])
        >>> plot_misclassified(wrong.images, wrong.predicted, wrong.actual)
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        limit: int = 25,
        batch_size: int = 512,
        *,
        output: str | int | None = None,
        from_logits: bool | None = None,
    ) -> None:
        super().__init__()
        if limit < 1:
            raise UserError(f"limit: expected 1 or more, got {limit}")
        self._batches = Batches(x, y, batch_size=batch_size, name="MisclassifiedImages")
        if y is None and not self._batches.is_dataset:
            raise UserError("MisclassifiedImages: expected labels beside arrays, got none; give y")
        if not self._batches.is_dataset and isinstance(self._batches.y, np.ndarray):
            classes(self._batches.y)  # labels that are no classes are refused before the training
        self.limit, self.output, self.from_logits = limit, output, from_logits
        self._reset()

    def _reset(self) -> None:
        self.images = np.zeros((0,), np.float32)
        self.indices: np.ndarray = np.zeros(0, np.int64)
        self.predicted: np.ndarray = np.zeros(0, np.int64)
        self.actual: np.ndarray = np.zeros(0, np.int64)
        self.count = 0
        self._classes = 0
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []

    @property
    def confusion(self) -> np.ndarray:
        """The confusion matrix, (classes, classes) int64."""
        counts = np.zeros((self._classes, self._classes), np.int64)
        for actual, predicted in self._pairs:
            np.add.at(counts, (actual, predicted), 1)
        return counts

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Collect with the final weights."""
        self.collect(self.model)

    def collect(self, model: keras.Model) -> None:
        """Collect the misclassified images of `model`; images that were collected before are dropped.

        Raises:
            UserError: the labels or the model's output are not those of one class each, or an output is NaN.
        """
        self._reset()
        start = 0
        images = []
        for x, y in self._batches:
            if y is None:
                raise UserError("MisclassifiedImages: expected batches (x, y), got a batch without labels")
            outputs = _to_numpy(self._select(model, model.predict_on_batch(x), "outputs"))
            actual = classes(self._select(model, y, "labels"))
            predicted = self._predicted(model, outputs, actual)
            self._classes = max((2, *outputs.shape[1:]))
            self._pairs.append((actual, predicted))
            wrong = np.flatnonzero(predicted != actual)
            self.count += len(wrong)
            wrong = wrong[: self.limit - len(self.indices)]
            images.append(_to_numpy(keras.tree.flatten(x)[0])[wrong])
            self.indices = np.concatenate([self.indices, start + wrong])
            self.predicted = np.concatenate([self.predicted, predicted[wrong]])
            self.actual = np.concatenate([self.actual, actual[wrong]])
            start += size(x)
        if images:
            self.images = np.concatenate(images)

    def _select(self, model: keras.Model, values: Any, what: str) -> Any:
        """Return the labels or the outputs that `output` names."""
        if isinstance(values, (list, tuple)) and len(values) == 1:
            return values[0]
        if isinstance(values, dict) and len(values) == 1 and self.output is None:
            return next(iter(values.values()))
        if not isinstance(values, (list, tuple, dict)):
            return values
        names = list(values) if isinstance(values, dict) else list(model.output_names)
        key = (
            names.index(self.output)
            if isinstance(values, (list, tuple)) and self.output in names
            else self.output
        )
        if isinstance(values, dict) and isinstance(key, int) and key < len(names):
            key = names[key]
        if key not in (values if isinstance(values, dict) else range(len(values))):
            raise UserError(
                f"MisclassifiedImages: expected output to be one of {', '.join(map(repr, names))} for several {what}, "
                f"got {self.output!r}"
            )
        return values[key]

    def _predicted(self, model: keras.Model, outputs: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return the classes (n,) of outputs (n, classes), (n, 1) or (n,)."""
        if outputs.ndim == 1:
            outputs = outputs[:, np.newaxis]
        if outputs.ndim != 2:
            raise UserError(
                f"MisclassifiedImages: expected a model with one output of shape (batch, classes), "
                f"got {outputs.shape}"
            )
        count = max(2, outputs.shape[1])
        if actual.size and (actual.min() < 0 or actual.max() >= count):
            raise UserError(
                f"MisclassifiedImages: expected labels 0 to {count - 1} for a model with {count} classes, got "
                f"{actual.min()} to {actual.max()}"
            )
        if unknown := int(np.isnan(outputs).any(axis=1).sum()):
            raise UserError(
                f"MisclassifiedImages: expected outputs that are numbers, got NaN for {unknown} of {len(outputs)} "
                "images; train with a smaller learning rate if the training diverged"
            )
        if outputs.shape[1] > 1:
            return outputs.argmax(axis=1)
        from_logits = _loss_from_logits(model, self.output) if self.from_logits is None else self.from_logits
        if not from_logits and outputs.size and not (outputs.min() >= 0 and outputs.max() <= 1):
            raise UserError(
                f"MisclassifiedImages: expected probabilities 0..1, got {outputs.min():g}..{outputs.max():g}; give "
                "from_logits=True if they are logits"
            )
        return (outputs[:, 0] > (0 if from_logits else 0.5)).astype(np.int64)


def classes(labels: Any) -> np.ndarray:
    """Return labels as classes, (n,) int64.

    Args:
        labels: (n,) or (n, 1) whole numbers, or (n, classes) one-hot or smoothed.

    Raises:
        UserError: they are not labels of one class each.
    """
    array = _to_numpy(labels)
    if array.ndim == 2 and array.shape[1] > 1:
        if not np.allclose(array.sum(axis=1), 1, rtol=0, atol=1e-3):
            raise UserError("MisclassifiedImages: expected one-hot labels, got rows that don't add up to 1")
        return array.argmax(axis=1)
    if array.ndim == 2:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "biuf" or np.any(array != np.round(array)):
        raise UserError(
            f"MisclassifiedImages: expected labels (n,) of whole numbers or (n, classes) one-hot, got {array.dtype} "
            f"of shape {array.shape}"
        )
    return array.astype(np.int64)


def _to_numpy(values: Arrays) -> np.ndarray:
    return np.asarray(values if isinstance(values, Sequence) else keras.ops.convert_to_numpy(values))


def _loss_from_logits(model: keras.Model, output: str | int | None) -> bool:
    """Whether the loss of an output takes logits."""
    loss = getattr(model, "loss", None)
    if isinstance(loss, dict):
        names = list(loss)
        output = 0 if output is None else output  # the only one: which of several has been said
        loss = loss.get(names[output] if isinstance(output, int) and output < len(names) else output)
    elif isinstance(loss, (list, tuple)) and len(loss) == 1:
        loss = loss[0]
    elif isinstance(loss, (list, tuple)):
        names = list(model.output_names)
        index = names.index(output) if output in names else output
        loss = loss[index] if isinstance(index, int) and index < len(loss) else None
    return bool(getattr(loss, "from_logits", False))
