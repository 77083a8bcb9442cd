import csv
import io
from pathlib import Path

from kerasnorm.study.tables import table_csv, tables
from tests.kerasnorm.study.finished import finished


def test_tables_of_two_norms(tmp_path: Path) -> None:
    by_norm = {"bn": [0.991, 0.993, 0.992], "gn": [0.994, 0.9965, 0.995]}
    runs = [finished(tmp_path, norm, k, v) for norm, values in by_norm.items() for k, v in enumerate(values)]
    results, differences = tables(runs, ["bn", "gn"])
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
    assert (row[4] == "yes") == (float(row[3]) < 0.05)


def test_one_seed_has_no_verdict(tmp_path: Path) -> None:
    runs = [finished(tmp_path, "bn", 0, 0.991), finished(tmp_path, "gn", 0, 0.999)]
    results, differences = tables(runs, ["bn", "gn"])
    assert "**99.10** |" in results
    assert "one seed cannot tell" in differences


def test_csv_has_a_row_for_each_run(tmp_path: Path) -> None:
    runs = [finished(tmp_path, norm, seed, 0.99) for norm in ("bn", "gn") for seed in range(3)]
    rows = list(csv.DictReader(io.StringIO(table_csv(runs))))
    assert [(row["norm"], row["seed"]) for row in rows] == [
        (n, str(k)) for n in ("bn", "gn") for k in range(3)
    ]
    assert rows[0]["test_accuracy"] == "0.99"
    assert rows[0]["seconds"] == "60.0"
