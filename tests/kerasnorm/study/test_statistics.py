import math

import numpy as np
import pytest

from kerasnorm.study.statistics import compare_pairs, holm, paired_difference, summarize


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


def test_two_seeds_have_a_deviation_and_nothing_else() -> None:
    found = summarize([99.0, 99.2])
    np.testing.assert_allclose(found.deviation, 0.1 * math.sqrt(2), rtol=1e-9, atol=0)
    difference = paired_difference([99.0, 99.2], [98.0, 98.1])
    np.testing.assert_allclose(difference.mean, 1.05, rtol=1e-9, atol=0)
    assert all(math.isnan(p) for p in (*found.interval, *difference.interval, difference.p_value))


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
    values = np.array([1.0, 2.0, 4.0])
    assert paired_difference((values + difference).tolist(), values.tolist()).p_value == p_value


NAN = math.nan


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # Wikipedia's example, Holm-Bonferroni method
        ([0.6, 0.9, 0.4], [1.0, 1.0, 1.0]),
        ([0.02, NAN, 0.04], [0.04, NAN, 0.04]),
        ([NAN, NAN], [NAN, NAN]),
        # Of R 4: p.adjust(c(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240), "holm"),
        # the p-values of Benjamini and Hochberg (1995), of which Holm's method keeps three
        (
            [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240],
            [0.0010, 0.0036, 0.0152, 0.0665, 0.1206, 0.1390, 0.1390, 0.1390, 0.1390, 0.3240],
        ),
    ],
)
def test_holm_against_known_values(p_values: list[float], corrected: list[float]) -> None:
    np.testing.assert_allclose(holm(p_values), corrected, rtol=1e-9, atol=0)


def test_holm_does_not_depend_on_the_order_and_is_never_stricter_than_bonferroni() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0, 0.1, 20)
    order = rng.permutation(20)
    np.testing.assert_allclose(np.array(holm(p.tolist()))[order], holm(p[order].tolist()), rtol=1e-12, atol=0)
    assert np.all(np.array(holm(p.tolist())) <= np.minimum(1, 20 * p))
    assert np.all(np.array(holm(p.tolist())) >= p)


def test_of_studies_of_equal_models_five_percent_find_a_difference() -> None:
    rng = np.random.default_rng(0)
    studies = [min(holm(rng.uniform(size=45).tolist())) < 0.05 for _ in range(2000)]
    assert 0.03 < np.mean(studies) < 0.07


def test_pairs_are_in_the_order_of_the_models() -> None:
    found = compare_pairs({"a": [1.0, 2.0, 3.0], "b": [1.1, 2.0, 3.1], "c": [9.0, 10.0, 11.2]})
    assert [(one.first, one.second) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [one.more_than_chance for one in found] == [False, True, True]
    assert compare_pairs({"a": [1.0]}) == []


def test_comparisons_with_a_baseline_are_corrected_for_their_own_number() -> None:
    values = {"a": [1.0, 2.0, 3.0], "b": [1.1, 2.0, 3.1], "c": [9.0, 10.0, 11.2]}
    found = compare_pairs(values, "b")
    assert [(one.first, one.second) for one in found] == [("a", "b"), ("c", "b")]
    p = [paired_difference(values[one.first], values["b"]).p_value for one in found]
    np.testing.assert_allclose([one.corrected for one in found], [p[0], 2 * p[1]], rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match="baseline: expected one of a, b, c, got d"):
        compare_pairs(values, "d")


def test_empty_or_unequal_values_raise() -> None:
    with pytest.raises(ValueError, match="expected one value or more, got none"):
        summarize([])
    with pytest.raises(
        ValueError, match="expected the same number of values in both, one or more, got 2 and 1"
    ):
        paired_difference([1.0, 2.0], [1.0])
