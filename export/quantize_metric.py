"""How good the outputs of a quantized graph are: the task's metric, and the error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from export.errors import UserError

LARGEST_LOSS = 0.01  # of accuracy, one point, or of the classes
LARGEST_ERROR = 0.05  # of the spread of an output without classes


@dataclass(frozen=True)
class Quality:
    """The metrics of a graph's outputs.

    Attributes:
        accuracy: share of the labels that are met; None if there are no labels.
        agreement: share of the classes that are those of the float32 graph; None if the output has no classes.
        error: root mean square of the difference from the float32 graph, relative to the spread of its values.
        max_abs: the largest difference.
    """

    accuracy: float | None
    agreement: float | None
    error: float
    max_abs: float

    def as_json(self) -> dict[str, Any]:
        """A dictionary for the report."""
        return asdict(self)

    def compared_with(self, before: Quality) -> str:
        """The metrics, with those of the float32 graph where it has its own."""
        error = f"error {100 * self.error:.2g} % of the outputs' spread"
        if self.accuracy is not None and before.accuracy is not None:
            return f"accuracy {100 * self.accuracy:.2f} % (float32: {100 * before.accuracy:.2f} %), {error}"
        if self.agreement is not None:
            return f"{100 * self.agreement:.2f} % of the classes agree with float32, {error}"
        return error


def judge(
    outputs: Sequence[np.ndarray], reference: Sequence[np.ndarray], labels: np.ndarray | None
) -> Quality:
    """The metrics of a graph's outputs: classes of the first one, errors of all.

    Args:
        outputs: the outputs.
        reference: those of the float32 graph.
        labels: the true classes of the first output: a number for each, or one-hot.

    Raises:
        UserError: the labels don't fit the output.
    """
    has_labels = labels is not None
    ours, theirs = (classes(values[0], is_certain=has_labels) for values in (outputs, reference))
    accuracy = agreement = None
    if labels is not None:
        accuracy = float(np.mean(ours == _as_classes(labels, outputs[0].shape, ours)))
    if ours is not None:
        agreement = float(np.mean(ours == theirs))
    pairs = [
        (a.astype(np.float64), b.astype(np.float64))
        for a, b in zip(outputs, reference, strict=True)
        if b.dtype.kind == "f"
    ]
    errors = [_relative_error(a, b) for a, b in pairs]
    largest = [float(np.max(np.abs(a - b), initial=0)) for a, b in pairs]
    return Quality(accuracy, agreement, max(errors, default=0.0), max(largest, default=0.0))


def what_is_lost(before: Quality, after: Quality) -> str | None:
    """What an int8 graph loses, in words, if that is too much; None if it is not."""
    if before.accuracy is not None and after.accuracy is not None:
        lost = before.accuracy - after.accuracy
        return f"it loses {100 * lost:.2f} points of accuracy" if lost > LARGEST_LOSS else None
    if after.agreement is not None:
        differ = 1 - after.agreement
        return f"{100 * differ:.2f} % of the classes change" if differ > LARGEST_LOSS else None
    return "its error is too large" if after.error > LARGEST_ERROR else None


def classes(output: np.ndarray, *, is_certain: bool = False) -> np.ndarray | None:
    """The class that each row of scores says: the largest of several, or whether a single one is above its middle.

    Args:
        output: the scores.
        is_certain: a single number is a score, too, if it is no probability.
    """
    if output.dtype.kind != "f" or output.ndim < 2:
        return None
    if output.shape[-1] > 1:
        return output.argmax(-1)
    is_probability = bool(np.all((output >= 0) & (output <= 1)))
    if not is_probability and not is_certain:
        return None
    return (output[..., 0] > (0.5 if is_probability else 0)).astype(np.int64)


def _as_classes(labels: np.ndarray, shape: tuple[int, ...], ours: np.ndarray | None) -> np.ndarray:
    if ours is not None and labels.shape == ours.shape:
        return labels
    if ours is not None and labels.shape == (*ours.shape, 1):
        return labels[..., 0]
    if ours is not None and labels.shape == shape:
        return labels.argmax(-1)
    wanted = "none, since the first output has no classes" if ours is None else f"{ours.shape} or {shape}"
    raise UserError(f"labels: expected shape {wanted}, got {labels.shape}; give classes, or leave y out")


def _relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    difference = float(np.sqrt(np.mean(np.square(ours - theirs)))) if theirs.size else 0.0
    spread = float(np.std(theirs)) if theirs.size else 0.0
    return difference / spread if spread else float(difference > 0)
