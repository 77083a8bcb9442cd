import math

import numpy as np
import pytest

from kerasnorm.study.statistics import paired_difference, summarize


def test_summary_of_five_seeds_follows_the_formulas() -> None:
    """Student's t with 4 degrees of freedom is 2.776445 at 97.5 % (any table)."""
    values = [99.1, 99.3, 99.2, 99.4, 99.25]
    found = summarize(values)
    deviation = math.sqrt(sum((value - 99.25) ** 2 for value in values) / 4)
    assert found.count == 5
    np.testing.assert_allclose(
        [found.mean, found.deviation, found.low, found.high],
        [99.25, deviation, 99.1, 99.4],
        rtol=1e-12,
        atol=0,
    )
    half = 2.776445 * deviation / math.sqrt(5)
    np.testing.assert_allclose(found.interval, [99.25 - half, 99.25 + half], rtol=1e-8, atol=0)


def test_one_seed_has_no_deviation() -> None:
    found = summarize([99.0])
    assert found.mean == found.low == found.high == 99.0
    assert all(math.isnan(value) for value in (found.deviation, *found.interval))
    assert math.isnan(paired_difference([99.0], [98.0]).p_value)


def test_paired_difference_cancels_the_variation_between_seeds() -> None:
    """Seeds differ by points, the models by a tenth of a point."""
    seeds = np.array([98.0, 99.0, 97.0, 99.5])
    first, second = (seeds + np.array([0.11, 0.09, 0.10, 0.12])).tolist(), seeds.tolist()
    found = paired_difference(first, second)
    np.testing.assert_allclose(found.mean, 0.105, rtol=1e-9, atol=0)
    t = 0.105 / (np.std([0.11, 0.09, 0.10, 0.12], ddof=1) / 2)
    assert t > 10
    assert 0 < found.p_value < 0.001
    assert found.interval[0] > 0
    reverse = paired_difference(second, first)
    np.testing.assert_allclose(reverse.mean, -found.mean, rtol=1e-12, atol=0)
    np.testing.assert_allclose(reverse.p_value, found.p_value, rtol=1e-9, atol=0)


def test_equal_models_differ_at_5_percent_in_5_percent_of_comparisons() -> None:
    """Of 400 comparisons about 5 % have p < 0.05, and the same number of intervals miss 0."""
    rng = np.random.default_rng(0)
    found = [paired_difference(*rng.normal(size=(2, 5)).tolist()) for _ in range(400)]
    small = np.mean([one.p_value < 0.05 for one in found])
    missed = np.mean([not one.interval[0] < 0 < one.interval[1] for one in found])
    assert 0.02 < small < 0.09
    assert small == missed


@pytest.mark.parametrize(("difference", "p_value"), [(0.0, 1.0), (0.25, 0.0)])
def test_p_value_of_a_constant_difference(difference: float, p_value: float) -> None:
    assert paired_difference([1 + difference, 2 + difference], [1.0, 2.0]).p_value == p_value


def test_empty_or_unequal_values_raise() -> None:
    with pytest.raises(ValueError, match="expected one value or more, got none"):
        summarize([])
    with pytest.raises(
        ValueError, match="expected the same number of values in both, one or more, got 2 and 1"
    ):
        paired_difference([1.0, 2.0], [1.0])
