"""The statistics of several seeds: mean, deviation and interval, and whether a difference is more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.errors import UserError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """One model's results over its seeds.

    Attributes:
        count: number of seeds.
        mean: their mean.
        deviation: sample standard deviation, with n - 1; NaN for one seed.
        low: the smallest.
        high: the largest.
        interval: 95 % confidence interval of the mean, mean +- t s / sqrt(n) with Student's t of n - 1
            degrees of freedom; NaN for one seed.
    """

    count: int
    mean: float
    deviation: float
    low: float
    high: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """The difference of two models' results, seed by seed.

    Attributes:
        count: number of seeds.
        mean: mean of first minus second.
        interval: 95 % confidence interval of that mean; NaN for one seed.
        p_value: of the paired t-test: the probability of a difference at least this large by the choice of the seeds
            alone; NaN for one seed.
    """

    count: int
    mean: float
    interval: tuple[float, float]
    p_value: float


def summarize(values: Sequence[float]) -> Summary:
    """Return mean, sample standard deviation, range and 95 % confidence interval.

    Raises:
        UserError: there are no values.
    """
    numbers: np.ndarray = np.asarray(values, np.float64)
    if numbers.size == 0:
        raise UserError("summarize: expected one value or more, got none")
    return Summary(
        len(numbers),
        float(numbers.mean()),
        float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan,
        float(numbers.min()),
        float(numbers.max()),
        _interval(numbers),
    )


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return the mean of first - second over the seeds, with the paired t-test (Student 1908).

    The two values of a pair have the same seed, hence the same order of images and the same augmentation. What these
    contribute to both cancels in the difference.

    Raises:
        UserError: the two differ in length, or are empty.
    """
    if len(first) != len(second) or not len(first):
        raise UserError(
            "paired_difference: expected the same number of values in both, one or more, "
            f"got {len(first)} and {len(second)}"
        )
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    return Difference(
        len(differences), float(differences.mean()), _interval(differences), _p_value(differences)
    )


def _interval(numbers: np.ndarray) -> tuple[float, float]:
    from scipy import stats

    if len(numbers) < 2:
        return math.nan, math.nan
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(numbers) - 1) * numbers.std(ddof=1) / math.sqrt(len(numbers))
    return float(numbers.mean() - half), float(numbers.mean() + half)


def _p_value(differences: np.ndarray) -> float:
    from scipy import stats

    if len(differences) < 2:
        return math.nan
    if np.ptp(differences) == 0:  # t is 0/0 or infinite
        return 1.0 if differences[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)
