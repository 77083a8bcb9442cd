"""Fold, Refusal and FoldReport: what people read about the folds."""

from export.passes.outcome import Fold, FoldReport, Refusal, join


def test_fold_and_refusal_as_text() -> None:
    assert str(Fold("bn", "into the preceding conv")) == "bn: into the preceding conv"
    assert str(Refusal("bn", "preceded by Relu")) == "bn: preceded by Relu"


def test_join_names_each_reason_once() -> None:
    joined = join(Refusal("bn", "preceded by Relu"), Refusal("bn", "too wide"), Refusal("bn", "too wide"))
    assert joined == Refusal("bn", "preceded by Relu; too wide")


def test_report_is_empty_by_default() -> None:
    assert FoldReport() == FoldReport(folded=(), refused=())
