"""The tables of a study: results and differences in markdown, and a CSV row for each run."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Sequence

from kerasnorm.norms import get_norm
from kerasnorm.study.plan import Run
from kerasnorm.study.statistics import Summary, paired_difference, summarize


def accuracies(runs: Sequence[Run], norm: str, key: str = "test_accuracy") -> list[float]:
    """Return one of the metrics of a norm's runs, in percent."""
    return [100 * run.metrics[key] for run in runs if run.norm == norm]


def tables(runs: Sequence[Run], norms: Sequence[str]) -> tuple[str, str]:
    """Return the results and the differences, as two markdown tables."""
    return results_table(runs, norms), differences_table(runs, norms)


def results_table(runs: Sequence[Run], norms: Sequence[str]) -> str:
    """Return a markdown table with a row for each norm."""
    lines = [
        "| norm | seeds | test accuracy, last epoch, % | smallest to largest | 95 % interval of the mean "
        "| best epoch, % | train accuracy, % |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [f"| {norm}, {get_norm(norm).name} | {result_cells(runs, norm)} |" for norm in norms]
    return "\n".join(lines)


def differences_table(runs: Sequence[Run], norms: Sequence[str]) -> str:
    """Return a markdown table with a row for each pair of norms."""
    lines = [
        "| pair | difference of the means, points | 95 % interval | p | more than chance? |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    pairs = list(itertools.combinations(norms, 2))
    for first, second in pairs:
        found = paired_difference(accuracies(runs, first), accuracies(runs, second))
        lines.append(
            f"| {first} - {second} | {found.mean:+.3f} | {_interval(found.interval, '+.3f')} "
            f"| {'' if math.isnan(found.p_value) else f'{found.p_value:.3f}'} | {_verdict(found.p_value, len(pairs))} |"
        )
    return "\n".join(lines)


def result_cells(runs: Sequence[Run], norm: str) -> str:
    """Return six cells of a markdown table: seeds, last epoch, its range and interval, best epoch, train accuracy."""
    last, best, train = (
        summarize(accuracies(runs, norm, key))
        for key in ("test_accuracy", "best_test_accuracy", "train_accuracy")
    )
    return (
        f"{last.count} | **{_with_deviation(last)}** | {last.low:.2f} to {last.high:.2f} "
        f"| {_interval(last.interval)} | {_with_deviation(best)} | {_with_deviation(train)}"
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


def _with_deviation(summary: Summary) -> str:
    return f"{summary.mean:.2f}" + ("" if math.isnan(summary.deviation) else f" ± {summary.deviation:.2f}")


def _interval(interval: tuple[float, float], form: str = ".2f") -> str:
    return "" if math.isnan(interval[0]) else f"{interval[0]:{form}} to {interval[1]:{form}}"


def _verdict(p_value: float, pairs: int) -> str:
    """In words, at 5 % divided by the number of pairs (Bonferroni)."""
    if math.isnan(p_value):
        return "one seed cannot tell"
    return "yes" if p_value < 0.05 / pairs else "no"
