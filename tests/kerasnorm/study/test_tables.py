import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kerasnorm.study.plan import Run
from kerasnorm.study.tables import Column, Table, differences_table, p_text, results_table, table_csv
from tests.kerasnorm.study.finished import finished


def both(runs: Sequence[Run]) -> tuple[str, str]:
    """The results and the differences of bn and gn, in markdown."""
    norms = ["bn", "gn"]
    return results_table(runs, norms).markdown(), differences_table(runs, norms).markdown()


def test_tables_of_two_norms(tmp_path: Path) -> None:
    by_norm = {"bn": [0.991, 0.993, 0.992], "gn": [0.994, 0.9965, 0.995]}
    runs = [finished(tmp_path, norm, k, v) for norm, values in by_norm.items() for k, v in enumerate(values)]
    results, differences = both(runs)
    bn, gn = (line.split("|") for line in results.splitlines()[2:])
    assert [cell.strip() for cell in bn[1:5]] == [
        "bn, Batch Normalization", "3", "**99.20 ± 0.10**", "99.10 to 99.30",
    ]  # fmt: skip
    assert gn[3].strip() == "**99.52 ± 0.13**"
    assert bn[5].strip() == "98.95 to 99.45"  # 99.2 -+ 4.3027 * 0.1 / sqrt(3)
    assert bn[6].strip() == "99.30 ± 0.10"
    row = [cell.strip() for cell in differences.splitlines()[2].split("|")[1:-1]]
    assert row[0] == "bn - gn"
    assert row[1] == "-0.317"
    assert row[3] == row[4]  # one pair needs no correction
    assert (row[5] == "yes") == (float(row[3]) < 0.05)


def test_one_seed_has_no_verdict(tmp_path: Path) -> None:
    runs = [finished(tmp_path, "bn", 0, 0.991), finished(tmp_path, "gn", 0, 0.999)]
    results, differences = both(runs)
    assert "| 1 | **99.10** | | |" in results
    assert differences.endswith("| bn - gn | -0.800 | | | | needs 3 seeds |")


def test_a_difference_of_almost_0_has_no_minus(tmp_path: Path) -> None:
    runs = [
        finished(tmp_path, "bn", 0, 0.9930000001),
        finished(tmp_path, "gn", 0, 0.993),
        finished(tmp_path, "ln", 0, 0.993),
    ]
    rows = differences_table(runs, ["gn", "bn", "ln"], "bn").rows
    assert [row[1] for row in rows] == ["+0.000", "+0.000"]


def test_two_seeds_have_a_deviation_but_no_interval(tmp_path: Path) -> None:
    runs = [finished(tmp_path, norm, seed, 0.99 + 0.002 * seed) for norm in ("bn", "gn") for seed in range(2)]
    results, differences = both(runs)
    assert "| 2 | **99.10 ± 0.14** | 99.00 to 99.20 | |" in results
    assert "| | | | needs 3 seeds |" in differences


def test_three_norms_are_compared_with_corrected_p_values(tmp_path: Path) -> None:
    by_norm = {"bn": [0.99, 0.991, 0.9897], "ln": [0.9901, 0.9909, 0.9899], "gn": [0.996, 0.9973, 0.9957]}
    runs = [finished(tmp_path, norm, k, v) for norm, values in by_norm.items() for k, v in enumerate(values)]
    rows = differences_table(runs, list(by_norm)).rows
    assert [(row[0], row[-1]) for row in rows] == [("bn - ln", "no"), ("bn - gn", "yes"), ("ln - gn", "yes")]
    p = sorted(float(row[3].strip("< ")) for row in rows)
    np.testing.assert_allclose(float(rows[1][4].strip("< ")), 3 * p[0], rtol=0, atol=0.002)


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(math.nan, ""), (1.0, "1.000"), (0.0512, "0.051"), (0.0004, "< 0.001"), (0.0, "< 0.001")],
)
def test_p_values(p_value: float, text: str) -> None:
    assert p_text(p_value) == text


def test_markdown_of_a_table() -> None:
    table = Table((Column("a", number=False), Column("b", strong=True)), (("x", "1"), ("", "2")))
    assert table.markdown() == "| a | b |\n| --- | ---: |\n| x | **1** |\n| | **2** |"


def test_csv_has_a_row_for_each_run(tmp_path: Path) -> None:
    runs = [finished(tmp_path, norm, seed, 0.99) for norm in ("bn", "gn") for seed in range(3)]
    rows = list(csv.DictReader(io.StringIO(table_csv(runs))))
    assert [(row["norm"], row["seed"]) for row in rows] == [
        (n, str(k)) for n in ("bn", "gn") for k in range(3)
    ]
    assert rows[0]["test_accuracy"] == "0.99"
    assert rows[0]["seconds"] == "60.0"
