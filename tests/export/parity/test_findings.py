import numpy as np
import pytest

from export.errors import CheckError, UserError
from export.parity.compare import Tolerance
from export.parity.findings import Findings

U = 2.0**-23
OUTPUT, LOGITS = ("y", "output"), ("y", "logits")


def add(
    findings: Findings,
    kind: str,
    t: list[float],
    k: list[float] | None = None,
    g: list[float] | None = None,
    dtype: str = "float32",
    tensor: tuple[str, str] = OUTPUT,
) -> Findings:
    exact, keras = np.array([t]), np.array([t if k is None else k])
    findings.add_truth(tensor, kind, dtype, exact, keras, 0.0)
    findings.add_output(tensor, kind, "on", np.array([t if g is None else g]), exact, keras)
    return findings


def test_errors_of_the_kind_with_the_most_rows_count_for_all_regular_kinds() -> None:
    findings = Findings(Tolerance())
    for _ in range(3):
        add(findings, "batch 3", [3.0, 4.0], [3.0, 4.0 + 2e-5])
    add(findings, "batch 1", [3.0, 4.0])
    add(findings, "constant", [3.0, 4.0])
    size = np.sqrt(12.5)
    allowed = {d.data: d.allowance for d in findings.differences()}
    assert allowed["batch 1"] == pytest.approx(4 * 2e-5 + 32 * U * size)
    assert allowed["constant"] == pytest.approx(32 * U * size)
    assert findings.allowances("batch 1", ["y"], [0.0]) == [(pytest.approx(allowed["batch 1"]), 32 * U)]


def test_allowances_of_an_output_in_float16() -> None:
    findings = add(Findings(Tolerance()), "batch 1", [3.0, 4.0], dtype="float16")
    [(a, b)] = findings.allowances("batch 1", ["y"], [0.0])
    assert (a, b) == (pytest.approx(32 * U * np.sqrt(12.5) + 2.0**-25), 32 * U + 2.0**-11)


def test_outputs_that_leave_their_range_are_not_judged() -> None:
    findings = add(Findings(Tolerance()), "batch 1", [1.0, 1.0])
    add(findings, "out of range", [1e3, 1e3], g=[0.0, 0.0])
    assert [d.data for d in findings.differences()] == ["batch 1"]
    assert findings.not_judged() == [
        "'y' was not judged on inputs out of range: it grows by more than 8 times"
    ]


@pytest.mark.parametrize("tolerance", [Tolerance(), Tolerance(atol=1e-6)])
def test_the_movement_of_the_truth_is_allowed_for(tolerance: Tolerance) -> None:
    findings = add(Findings(tolerance), "constant", [1.0, 2.0], g=[1.0, 2.001])
    assert [d.within for d in findings.differences()] == [False]
    findings.add_movement(OUTPUT, "constant", 2e-4)
    assert [d.within for d in findings.differences()] == [False]
    findings.add_movement(OUTPUT, "constant", 3e-4)
    assert [(d.within, d.rounding) for d in findings.differences()] == [(True, 3e-4)]


def test_the_tolerance_of_the_user_is_of_the_outputs_alone() -> None:
    findings = Findings(Tolerance(atol=1e-9))
    for tensor in (OUTPUT, LOGITS):
        add(findings, "batch 1", [1.0, 2.0], g=[1.0 + 1e-7, 2.0], tensor=tensor)
    assert {d.tensor: (d.is_exact, d.within) for d in findings.differences()} == {
        "output": (True, False),
        "logits": (True, True),
    }


def test_what_needs_float64() -> None:
    findings = add(Findings(Tolerance()), "batch 1", [1.0] * 100, [1.0] * 99 + [2.0])  # a step
    add(findings, "constant", [1.0] * 100, [2.0] * 100)
    add(findings, "out of range", [1.0] * 100, [2.0] * 100)
    findings.refuse_what_needs_float64("net")
    add(findings, "batch 1", [1.0] * 100, [1.0] * 98 + [2.0] * 2)
    with pytest.raises(CheckError, match=r"model 'net': expected a float64 .* for 3 of 200 values of 'y'"):
        findings.refuse_what_needs_float64("net")


def test_what_is_not_finite() -> None:
    nan, inf = float("nan"), float("inf")
    findings = add(Findings(Tolerance()), "batch 1", [nan, inf])
    add(findings, "out of range", [1.0, 2.0])
    with pytest.raises(
        UserError, match=r"computes finite outputs, got NaN or infinity in 'y' for all 3 rows;"
    ):
        findings.refuse_what_is_not_finite(3)
    add(findings, "batch 2", [1.0, -inf])
    findings.refuse_what_is_not_finite(3)
    assert findings.not_finite() == ["Keras computes NaN or infinity for 75.0% of the values of 'y'"]


@pytest.mark.parametrize("values", [np.zeros((2, 0)), np.array([["a"]], object), np.array([[3]])])
def test_empty_outputs_strings_and_integers_are_finite(values: np.ndarray) -> None:
    findings = Findings(Tolerance())
    findings.add_truth(OUTPUT, "batch 2", "float32", values, values, 0.0)
    findings.refuse_what_is_not_finite(2)
    assert findings.not_finite() == []
