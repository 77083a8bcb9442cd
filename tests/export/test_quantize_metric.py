"""The metrics of quantized graphs."""

import numpy as np
import pytest

from export.errors import UserError
from export.quantize_metric import Quality, classes, judge, what_is_lost

SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)


def quality(accuracy: float | None = None, agreement: float | None = None, error: float = 0.0) -> Quality:
    return Quality(accuracy, agreement, error, 0.0 if agreement or accuracy else error)


def test_metrics_by_hand() -> None:
    ours = SCORES + np.array([[0, 0], [0, 0], [-0.2, 0.2], [0, 0]], np.float32)
    with_labels, without = (judge([ours], [SCORES], labels) for labels in (np.array([0, 1, 0, 0]), None))
    assert (with_labels.accuracy, with_labels.agreement) == (0.5, None)
    assert (without.accuracy, without.agreement) == (None, 0.75)
    assert without.error == pytest.approx(np.sqrt(2 * 0.2**2 / 8) / SCORES.std(), rel=1e-5)
    assert without.error_without_classes == 0


def test_the_worst_output_counts() -> None:
    ids, numbers = np.arange(4), np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    outputs = [SCORES, ids + np.array([0, 0, 0, 1]), numbers + np.float32(0.1)]
    found = judge(outputs, [SCORES, ids, numbers], np.array([0, 1, 0, 1]))
    assert (found.accuracy, found.agreement) == (1, 0.75)
    assert found.error == found.error_without_classes == pytest.approx(0.1 / numbers.std(), rel=1e-4)


@pytest.mark.parametrize("labels", [[0, 1, 0, 1], [[0], [1], [0], [1]], [[1, 0], [0, 1], [1, 0], [0, 1]]])
def test_forms_of_labels(labels: list[object]) -> None:
    assert judge([SCORES], [SCORES], np.array(labels)).accuracy == 1


def test_labels_of_another_shape() -> None:
    with pytest.raises(UserError, match=r"labels: expected shape \(4,\) or \(4, 2\), got \(4, 3\); give"):
        judge([SCORES], [SCORES], np.zeros((4, 3)))
    numbers = np.arange(4, dtype=np.float32)
    with pytest.raises(UserError, match=r"expected shape none, since the first output has no classes, got"):
        judge([numbers], [numbers], np.zeros(4))


def test_one_score_is_a_class_if_it_is_a_probability() -> None:
    assert classes(np.array([[0.2], [0.7]], np.float32)).tolist() == [0, 1]  # type: ignore[union-attr]
    logits = np.array([[-3.0], [0.2]], np.float32)
    assert classes(logits) is None
    assert classes(logits, is_certain=True).tolist() == [0, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (quality(0.9), quality(0.891), None),
        (quality(0.9), quality(0.95), None),
        (quality(0.9), quality(0.88), "it loses 2.00 points of accuracy"),
        (quality(None, 1.0), quality(None, 0.995), None),
        (quality(None, 1.0), quality(None, 0.98), "2.00 % of the classes change"),
        (quality(), quality(error=0.04), None),
        (quality(), quality(error=0.06), "its error is too large"),
        (quality(0.9), quality(0.9, 0.9), "10.00 % of the classes change"),
        (quality(0.9), quality(0.9, error=np.nan), "its outputs are not finite"),
    ],
)
def test_what_is_lost(before: Quality, after: Quality, expected: str | None) -> None:
    assert what_is_lost(before, after) == expected
