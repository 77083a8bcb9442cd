"""Classifier: an exported model that takes images and returns a probability or a score for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.errors import UserError
from export.image_input import ImageInput
from export.images import ImageFormat, read_image
from export.infer_metadata import read_class_names
from export.served_model import ServedModel

SUM_TOLERANCE = 1e-3  # probabilities sum to 1; those of 1000 classes in float16 to within 5e-4


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of one row, in descending order.

    Attributes:
        name: the file name, with the index of the row if the file has several.
        classes: names of the classes; their indices, as text, if the model has no names.
        probabilities: one for each of `classes`; scores, such as logits, if the model computes no probabilities.
        are_scores: whether they are scores rather than probabilities.
    """

    name: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    are_scores: bool = False


class Classifier:
    """An exported classifier of images, run on the CPU.

    Args:
        path: an ONNX file that `python -m export` wrote.
        threads: threads of one call; 0 uses all cores. For single small images 1 is fastest.

    Attributes:
        height: height of an image in pixels; None if the model takes any.
        width: width of an image in pixels; None if the model takes any.
        channels: 1 for grey, 3 for RGB.
        class_names: names of the classes; None if the file has none.

    Raises:
        UserError: the file is not an ONNX model with one input of images and an output of class probabilities.

    Examples:
        >>> classifier = Classifier("model.onnx")
        >>> classifier.predict(images).argmax(axis=1)
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        self.path = path
        self.model = ServedModel(path, threads)
        images, outputs = ImageInput.of(self.model), self.model.outputs
        if images is None or not outputs or not has_classes(outputs[0].shape, outputs[0].dtype):
            raise UserError(
                f"{path}: expected a classifier of images, one input of shape (n, height, width, 1 or 3) and an output "
                f"of floats of shape (n, classes), got inputs {_listed(self.model.inputs)} and outputs "
                f"{_listed(outputs)}"
            )
        self.images = images
        self.height, self.width, self.channels = (
            images.format.height,
            images.format.width,
            images.format.channels,
        )
        self.class_names = read_class_names(path, self.model.metadata, outputs[0].shape[1])

    @property
    def image_format(self) -> ImageFormat:
        """The images that the model expects."""
        return self.images.format

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Compute the class probabilities of images, or the logits, if the model ends with them.

        Args:
            images: pixels 0..255 of shape (n, height, width, channels); (n, height, width) for grey images.

        Returns:
            Probabilities of shape (n, classes).

        Raises:
            UserError: the images don't have the shape that the model expects, or the model fails.
        """
        images = np.asarray(images)
        if images.ndim == 3:
            images = images[..., np.newaxis]
        want = (self.height, self.width, self.channels)
        fits = images.ndim == 4 and images.dtype.kind in "uif"
        if not fits or any(size not in (None, got) for size, got in zip(want, images.shape[1:], strict=True)):
            raise UserError(f"expected images of shape (n, {want}), got {images.dtype} {images.shape}")
        result = self.model.predict(self.images.values(images))[self.model.outputs[0].name]
        if result.ndim != 2 or len(result) != len(images):
            raise UserError(
                f"{self.path}: expected a row of classes for each of {len(images)} images, got {result.shape}"
            )
        return result

    def classify(self, images: np.ndarray, names: Sequence[str], top: int = 1) -> list[Prediction]:
        """Find the `top` most probable classes of each image, or those with the highest scores."""
        return best_classes(self.predict(images), names, self.class_names, top)

    def read_image(self, path: Path) -> tuple[np.ndarray, str]:
        """Read an image file, converted to what the model expects; see `export.images.read_image`."""
        return read_image(path, self.image_format)


def has_classes(shape: Sequence[int | None], dtype: np.dtype) -> bool:
    """Whether an output may be one of probabilities or scores of classes."""
    return len(shape) == 2 and dtype.kind == "f"


def best_classes(
    values: np.ndarray, names: Sequence[str], class_names: Sequence[str] | None, top: int
) -> list[Prediction]:
    """The `top` classes of each row with the largest values."""
    count = values.shape[1]
    labels = class_names or tuple(str(index) for index in range(count))
    if len(labels) != count:
        raise UserError(f"expected {count} class names in the model's metadata, got {len(labels)}")
    are_scores = not are_probabilities(values)
    result = []
    for name, row in zip(names, values, strict=True):
        order = np.argsort(-row, kind="stable")[:top]
        found = tuple(float(row[i]) for i in order)
        result.append(Prediction(name, tuple(labels[i] for i in order), found, are_scores))
    return result


def are_probabilities(values: np.ndarray) -> bool:
    """Whether outputs of shape (n, classes) are probabilities: within 0..1, and rows that sum to 1.

    Only the values decide, because what the file says may be wrong. Logits, and the outputs of independent sigmoids,
    are not probabilities over the classes.
    """
    if not ((values >= 0) & (values <= 1 + SUM_TOLERANCE)).all():  # False for NaN
        return False
    return bool((np.abs(values.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE).all())


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "none"
