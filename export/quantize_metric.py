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
        accuracy: share of the labels that the first output meets; None if there are no labels.
        agreement: share of the classes that are those of the float32 graph, of the worst output that has classes and no
            labels; None if there is none.
        error: root mean square of the difference from the float32 graph, relative to the spread of the values, of the
            worst output.
        error_without_classes: the same, of the worst output without classes.
    """

    accuracy: float | None
    agreement: float | None
    error: float
    error_without_classes: float

    def as_json(self) -> dict[str, Any]:
        """A dictionary for the report."""
        return asdict(self)

    def compared_with(self, before: Quality) -> str:
        """The metrics, with those of the float32 graph where it has its own."""
        words = [f"error {100 * self.error:.2g} % of the outputs' spread"]
        if self.agreement is not None:
            words.insert(0, f"{100 * self.agreement:.2f} % of the classes agree with float32")
        if self.accuracy is not None and before.accuracy is not None:
            words.insert(0, f"accuracy {100 * self.accuracy:.2f} % (float32: {100 * before.accuracy:.2f} %)")
        return ", ".join(words)


def judge(
    outputs: Sequence[np.ndarray], reference: Sequence[np.ndarray], labels: np.ndarray | None
) -> Quality:
    """The metrics of a graph's outputs.

    Args:
        outputs: the outputs.
        reference: those of the float32 graph.
        labels: the true classes of the first output: a number for each, or one-hot.

    Raises:
        UserError: the labels don't fit the output.
    """
    accuracy, agreements = None, []
    errors, without_classes = [0.0], [0.0]
    for index, (ours, theirs) in enumerate(zip(outputs, reference, strict=True)):
        has_labels = labels is not None and index == 0
        found, expected = (classes(values, is_certain=has_labels) for values in (ours, theirs))
        if labels is not None and index == 0:
            accuracy = float(np.mean(found == _as_classes(labels, ours.shape, found)))
        elif found is not None:
            agreements.append(float(np.mean(found == expected)))
        if theirs.dtype.kind == "f":
            errors.append(_relative_error(ours.astype(np.float64), theirs.astype(np.float64)))
            without_classes += errors[-1:] if found is None else []
    agreement = min(agreements, default=None)
    return Quality(accuracy, agreement, float(np.max(errors)), float(np.max(without_classes)))


def what_is_lost(before: Quality, after: Quality) -> str | None:
    """What an int8 graph loses, in words, if that is too much; None if it is not."""
    if not np.isfinite(after.error):
        return "its outputs are not finite"
    if before.accuracy is not None and after.accuracy is not None:
        lost = before.accuracy - after.accuracy
        if lost > LARGEST_LOSS:
            return f"it loses {100 * lost:.2f} points of accuracy"
    if after.agreement is not None and 1 - after.agreement > LARGEST_LOSS:
        return f"{100 - 100 * after.agreement:.2f} % of the classes change"
    return "its error is too large" if after.error_without_classes > LARGEST_ERROR else None


def classes(output: np.ndarray, *, is_certain: bool = False) -> np.ndarray | None:
    """The class that each row of scores says: the largest of several, or whether a single one is above its middle.

    Args:
        output: the scores; what is no floating-point number is a class itself.
        is_certain: a single number is a score, too, if it is no probability.
    """
    if output.dtype.kind != "f":
        return output
    if output.ndim < 2:
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
