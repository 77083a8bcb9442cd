"""The statistics of several seeds: mean, deviation and interval, and whether a difference is more than chance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.errors import UserError

CONFIDENCE = 0.95

# Two seeds have one degree of freedom: their interval is 13 times as wide as they are apart, and tells nothing.
FEWEST_SEEDS = 3


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
            degrees of freedom; NaN for fewer than three seeds.
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
        interval: 95 % confidence interval of that mean; NaN for fewer than three seeds.
        p_value: of the paired t-test: the probability of a difference at least this large by the choice of the seeds
            alone; NaN for fewer than three seeds.
    """

    count: int
    mean: float
    interval: tuple[float, float]
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """Two models of a study that has several.

    Attributes:
        first: name of the first model.
        second: name of the second model.
        difference: first minus second.
        corrected: the p-value, corrected by Holm's method for the number of comparisons in the study.
    """

    first: str
    second: str
    difference: Difference
    corrected: float

    @property
    def more_than_chance(self) -> bool:
        """Whether the difference is significant at the 5 % level of the whole study."""
        return self.corrected < 1 - CONFIDENCE


def compare_pairs(values: Mapping[str, Sequence[float]], baseline: str | None = None) -> list[Comparison]:
    """Compare each pair of models, or each model with one baseline.

    Args:
        values: the results of each model by its name, one for each seed, in the same order of seeds.
        baseline: the model that the others are compared with; None: every pair is compared.

    Raises:
        UserError: the models differ in their number of seeds, or the baseline is none of them.
    """
    if baseline is None:
        pairs = list(itertools.combinations(values, 2))
    elif baseline in values:
        pairs = [(name, baseline) for name in values if name != baseline]
    else:
        raise UserError(f"baseline: expected one of {', '.join(values)}, got {baseline}")
    differences = [paired_difference(values[first], values[second]) for first, second in pairs]
    corrected = holm([difference.p_value for difference in differences])
    return [
        Comparison(*pair, difference, p)
        for pair, difference, p in zip(pairs, differences, corrected, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's method (1979), in their order.

    With m p-values in ascending order, the i-th becomes the largest of (m - j + 1) p_j over all j <= i, and at most 1.
    Whatever the number of comparisons and however they depend on each other, the probability that chance makes one or
    more of them fall below 5 % is then 5 % at most. A NaN stays NaN and does not count.
    """
    p: np.ndarray = np.asarray(p_values, np.float64)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN is last
    corrected = np.full(p.shape, math.nan)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return corrected.tolist()


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

    if len(numbers) < FEWEST_SEEDS:
        return math.nan, math.nan
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(numbers) - 1) * numbers.std(ddof=1) / math.sqrt(len(numbers))
    return float(numbers.mean() - half), float(numbers.mean() + half)


def _p_value(differences: np.ndarray) -> float:
    from scipy import stats

    if len(differences) < FEWEST_SEEDS:
        return math.nan
    if np.ptp(differences) == 0:  # t is 0/0 or infinite
        return 1.0 if differences[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)
