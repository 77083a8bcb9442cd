import numpy as np
import pytest

from export.errors import UserError
from export.parity.compare import Deviation, Tolerance, Truth, allowance, in_range

U = 2.0**-23
NONE = Tolerance()


def judge(
    t: list[float], k: list[float], g: list[float], tolerance: Tolerance = NONE
) -> tuple[Truth, Deviation]:
    exact, keras = np.array([t]), np.array([k], np.float32)
    truth, deviation = Truth(), Deviation()
    truth.add(exact, keras)
    deviation.add(np.array([g], np.float32), exact, keras, truth, tolerance)
    return truth, deviation


def test_the_allowance_is_the_formula_of_the_header() -> None:
    truth, _ = judge([3.0, 4.0], [3.0, 4.0 + 64 * U], [3.0, 4.0])
    truth.movement = 1e-3
    s = np.sqrt((9 + 16) / 2)
    np.testing.assert_allclose(truth.size, s, rtol=1e-15, atol=0)
    np.testing.assert_allclose(allowance(truth, 0), 4 * (64 * U + 1e-3) + 32 * U * s, rtol=1e-12, atol=0)
    # The largest relative error of Keras on other regular inputs counts where this one is smaller by luck.
    np.testing.assert_allclose(allowance(truth, 1.0), 4 * (s + 1e-3) + 32 * U * s, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("off", "within"), [(60 * U, True), (200 * U, False)])
def test_a_difference_below_and_above_the_allowance(off: float, within: bool) -> None:
    truth, deviation = judge([1.0, -1.0], [1.0, -1.0], [1.0 + off, -1.0])
    assert (deviation.above <= allowance(truth, 0)) == within
    np.testing.assert_allclose(deviation.largest, off, rtol=1e-6, atol=0)


def test_large_values_may_be_off_by_their_own_last_places() -> None:
    t = [1e6, *([1.0] * 999)]
    truth, deviation = judge(t, t, [1e6 + 16 * 1e6 * U, *t[1:]])
    assert deviation.above <= allowance(truth, 0)


@pytest.mark.parametrize(
    ("t", "k", "g", "mismatched"),
    [
        (1.0, 1.0, np.nan, 1),
        (1.0, 1.0, np.inf, 1),
        (np.nan, np.nan, 1.0, 1),
        (np.nan, np.nan, np.nan, 0),
        (np.inf, np.inf, np.inf, 0),
        (np.inf, np.inf, -np.inf, 1),
        (1e300, np.inf, np.inf, 0),  # Keras leaves the range of float32, and so may the graph
        (1e300, np.inf, np.nan, 1),
    ],
)
def test_values_that_are_not_finite(t: float, k: float, g: float, mismatched: int) -> None:
    with np.errstate(over="ignore"):
        _, deviation = judge([1.0, t], [1.0, k], [1.0, g])
    assert deviation.mismatched == mismatched


def test_at_a_step_the_graph_may_be_on_either_side() -> None:
    # floor(0.99999999) is 0, floor of its float32 is 1.
    t, k = [0.0, 5.0, 2.0], [1.0, 5.0, 2.0]
    for g in (0.0, 1.0):
        truth, deviation = judge(t, k, [g, 5.0, 2.0])
        assert truth.keras_error == 0
        assert deviation.largest == 0
    _, deviation = judge(t, k, [2.0, 5.0, 2.0])
    assert deviation.largest == 1


def test_tolerance_of_the_user_is_stricter_than_the_rule() -> None:
    for tolerance, above in (
        (Tolerance(1e-3), False),
        (Tolerance(0, 0), True),
        (Tolerance(None, 1e-9), True),
        (Tolerance(), False),
    ):
        _, deviation = judge([1.0, 2.0], [1.0, 2.0], [1.0, 2.0 + 4 * U], tolerance)
        assert (deviation.above_tolerance > 0) == above
    _, deviation = judge([1.0, 2e4], [1.0, 2e4], [1.0 + 1e-2, 2e4], Tolerance(1e-5, 0.0, by_size=True))
    assert deviation.above_tolerance == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-9])
def test_tolerances_are_finite(value: float) -> None:
    for name in ("atol", "rtol"):
        with pytest.raises(UserError, match=f"{name}: expected a finite number of 0 or more, got {value}"):
            Tolerance(**{name: value})  # type: ignore[arg-type]


def test_integers_are_equal_to_the_truth_or_to_keras() -> None:
    exact, keras = np.array([[1, 2, 3]]), np.array([[1, 2, 4]])
    truth = Truth()
    truth.add(exact, keras)
    for got, largest in (([1, 2, 3], 0), ([1, 2, 4], 0), ([1, 2, 5], 1)):
        deviation = Deviation()
        deviation.add(np.array([got]), exact, keras, truth, NONE)
        assert deviation.largest == largest


def test_strings_are_equal() -> None:
    exact = np.array([[b"a", b"b"]], object)
    truth = Truth()
    truth.add(exact, exact)
    for got, largest in ((["a", "b"], 0), (["a", "c"], 1)):
        deviation = Deviation()
        deviation.add(np.array([got], object), exact, exact, truth, NONE)
        assert deviation.largest == largest


def test_the_position_of_the_largest_value() -> None:
    _, deviation = judge([1.0, 2.0], [1.0, 2.0], [2.0, 1.0])
    assert (deviation.agreeing, deviation.ranked) == (0, 1)


@pytest.mark.parametrize(
    ("dtype", "off", "within"),
    [
        ("float16", 2.0**-11, True),  # half a unit in the last place of the float16 of 1.5
        ("float16", 2.0**-10, False),
        ("float32", 2.0**-11, False),
        ("bfloat16", 2.0**-11, False),  # float32 in the graph
    ],
)
def test_an_output_in_float16_may_be_rounded_to_it(dtype: str, off: float, within: bool) -> None:
    exact = np.array([[1.5, 0.25]])
    truth, deviation = Truth(dtype), Deviation()
    truth.add(exact, exact)
    deviation.add(exact + np.array([[off, 0]]), exact, exact, truth, NONE)
    assert (deviation.above <= allowance(truth, 0.0)) == within


def test_numbers_above_the_range_of_float16_are_infinite_there() -> None:
    exact = np.array([1e5, -7e4, 65519.0, 1.0 / 3])
    np.testing.assert_array_equal(in_range(exact, "float16"), [np.inf, -np.inf, 65519.0, 1.0 / 3])
    assert in_range(exact, "float32") is exact
