"""The result of a parity check: verdict, table and JSON."""

import dataclasses
import json
from pathlib import Path

from export.parity.report import (
    LOGITS,
    OUTPUT,
    Difference,
    Parity,
    first_divergence,
    parity_text,
    report_path,
)

GOOD = Difference(
    output="probabilities",
    tensor=OUTPUT,
    data="batch 7",
    optimizations="off",
    rows=7,
    shapes=((10,),),
    size=0.3,
    max_abs=2e-8,
    keras_error=3e-8,
    allowance=1e-7,
    mean_abs=1e-8,
    max_rel=1e-6,
    argmax_agreement=1.0,
    nan=0,
    rounding=0.0,
    is_exact=True,
    within=True,
)


def parity(*differences: Difference, atol: float | None = None) -> Parity:
    return Parity(atol, None, "seeded random data", list(differences), rows=7, notes=["a note"])


def test_one_difference_above_its_allowance_fails_the_check() -> None:
    bad = dataclasses.replace(GOOD, data="constant", max_abs=1e-3, is_exact=False, within=False)
    assert parity(GOOD).passed
    failed = parity(GOOD, bad)
    assert not failed.passed
    assert failed.worst == bad
    assert not failed.is_rounding
    assert failed.failure() == (
        "a difference of up to 1.0e-03 in 'probabilities' on constant, above the 1.0e-07 allowed"
    )


def test_difference_above_the_users_tolerance_alone_is_rounding() -> None:
    strict = parity(dataclasses.replace(GOOD, within=False), atol=1e-9)
    assert not strict.passed
    assert strict.is_rounding
    assert strict.failure().endswith("above atol 1e-09 + rtol 0")


def test_value_that_is_nan_on_one_side_is_named() -> None:
    bad = dataclasses.replace(GOOD, nan=3, is_exact=False, within=False)
    assert parity(bad).failure() == (
        "3 values of 'probabilities' on batch 7 that are NaN or infinite on one side only"
    )


def test_largest_difference_is_that_of_the_outputs_not_of_the_logits() -> None:
    logits = dataclasses.replace(GOOD, tensor=LOGITS, max_abs=1e-5)
    assert parity(GOOD, logits).max_abs == 2e-8
    assert logits.name == "probabilities (logits)"


def test_table_has_a_row_for_each_output_and_kind_of_data() -> None:
    lines = parity(GOOD, dataclasses.replace(GOOD, optimizations="on")).table().splitlines()
    assert [line.split()[0] for line in lines] == ["output", "probabilities", "compared", "note:"]
    assert lines[1].endswith("ok")
    assert "on 7 rows of seeded random data" in lines[2]


def test_json_holds_every_metric() -> None:
    report = json.loads(json.dumps(parity(GOOD).as_json(), allow_nan=False))
    assert (report["passed"], report["rows"], report["notes"]) == (True, 7, ["a note"])
    assert set(report["differences"][0]) == {field.name for field in dataclasses.fields(Difference)}
    assert json.loads(parity_text(parity(GOOD)))["max_abs"] == 2e-8


def test_first_divergence_is_the_layer_of_the_first_bad_output() -> None:
    one, two = (dataclasses.replace(GOOD, output=name) for name in ("0:one", "1:two"))
    assert first_divergence(parity(one, two), ["one", "two"]) is None
    bad = dataclasses.replace(two, within=False)
    assert first_divergence(parity(one, bad), ["one", "two"]) == "two"


def test_report_is_beside_the_model() -> None:
    assert report_path(Path("folder/model.onnx")) == Path("folder/model.parity.json")
