"""The tables of a study: results and differences, and a CSV row for each run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from kerasnorm.norms import get_norm
from kerasnorm.study.plan import Run
from kerasnorm.study.statistics import FEWEST_SEEDS, Comparison, Summary, compare_pairs, summarize


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its head.
        number: whether it is aligned right.
        strong: whether its cells are bold.
    """

    title: str
    number: bool = True
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts, which becomes markdown or HTML."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table in markdown."""
        lines = [
            _line([column.title for column in self.columns]),
            _line(["---:" if column.number else "---" for column in self.columns]),
        ]
        for row in self.rows:
            cells = zip(self.columns, row, strict=True)
            lines.append(_line([f"**{cell}**" if column.strong else cell for column, cell in cells]))
        return "\n".join(lines)


def accuracies(runs: Sequence[Run], norm: str, key: str = "test_accuracy") -> list[float]:
    """Return one of the metrics of a norm's runs, in percent."""
    return [100 * run.metrics[key] for run in runs if run.norm == norm]


def label(norm: str) -> str:
    """Return a norm's key and name, as tables show them."""
    return f"{norm}, {get_norm(norm).name}"


def comparisons(runs: Sequence[Run], norms: Sequence[str], baseline: str | None = None) -> list[Comparison]:
    """Compare the test accuracies of each pair of norms, or of each norm with the baseline, in percent."""
    return compare_pairs({norm: accuracies(runs, norm) for norm in norms}, baseline)


def results_table(runs: Sequence[Run], norms: Sequence[str]) -> Table:
    """Return a table with a row for each norm."""
    columns = (
        Column("norm", number=False),
        Column("seeds"),
        Column("test accuracy, last epoch, %", strong=True),
        Column("smallest to largest"),
        Column("95 % interval of the mean"),
        Column("best epoch, %"),
        Column("train accuracy, %"),
    )
    return Table(columns, tuple((label(norm), *result_row(runs, norm)) for norm in norms))


def differences_table(runs: Sequence[Run], norms: Sequence[str], baseline: str | None = None) -> Table:
    """Return a table with a row for each pair of norms, or for each norm but the baseline."""
    columns = (
        Column("pair", number=False),
        Column("difference of the means, points"),
        Column("95 % interval"),
        Column("p"),
        Column("p, corrected"),
        Column("more than chance?", number=False),
    )
    rows = [
        (
            f"{found.first} - {found.second}",
            f"{round(found.difference.mean, 3) + 0.0:+.3f}",  # no -0.000
            _interval(found.difference.interval, "+.3f"),
            p_text(found.difference.p_value),
            p_text(found.corrected),
            _verdict(found),
        )
        for found in comparisons(runs, norms, baseline)
    ]
    return Table(columns, tuple(rows))


def result_row(runs: Sequence[Run], norm: str) -> tuple[str, ...]:
    """Return six cells: seeds, last epoch, its range and interval, best epoch, train accuracy."""
    last, best, train = (
        summarize(accuracies(runs, norm, key))
        for key in ("test_accuracy", "best_test_accuracy", "train_accuracy")
    )
    return (
        str(last.count),
        with_deviation(last),
        f"{last.low:.2f} to {last.high:.2f}" if last.count > 1 else "",
        _interval(last.interval),
        with_deviation(best),
        with_deviation(train),
    )


def table_csv(runs: Sequence[Run]) -> str:
    """Return CSV with a row for each run."""
    text = io.StringIO()
    columns = (
        "test_accuracy",
        "best_test_accuracy",
        "best_epoch",
        "train_accuracy",
        "misclassified",
        "seconds",
    )
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["norm", "seed", *columns])
    for run in runs:
        metrics = run.metrics
        writer.writerow([run.norm, run.seed, *(metrics[column] for column in columns)])
    return text.getvalue()


def with_deviation(summary: Summary) -> str:
    """Return mean ± standard deviation; of one seed, its value."""
    return f"{summary.mean:.2f}" + ("" if math.isnan(summary.deviation) else f" ± {summary.deviation:.2f}")


def p_text(p_value: float) -> str:
    """Return a p-value to three decimals; an empty text for NaN."""
    if math.isnan(p_value):
        return ""
    return "< 0.001" if p_value < 0.0005 else f"{p_value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def _interval(interval: tuple[float, float], form: str = ".2f") -> str:
    return "" if math.isnan(interval[0]) else f"{interval[0]:{form}} to {interval[1]:{form}}"


def _verdict(found: Comparison) -> str:
    if math.isnan(found.corrected):
        return f"needs {FEWEST_SEEDS} seeds"
    return "yes" if found.more_than_chance else "no"
