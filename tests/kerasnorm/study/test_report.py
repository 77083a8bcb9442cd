import csv
import re
from pathlib import Path

import pytest

from kerasnorm.study.report import html_table, write_study
from kerasnorm.study.tables import table_csv
from tests.kerasnorm.study.finished import RESULTS, finished


def test_files_of_a_study(tmp_path: Path) -> None:
    by_norm = {"bn": [0.991, 0.993, 0.992], "gn": [0.994, 0.9965, 0.995]}
    runs = [finished(tmp_path, norm, k, v) for norm, values in by_norm.items() for k, v in enumerate(values)]
    write_study(runs, ["bn", "gn"], "a <small> study", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == RESULTS
    page = (tmp_path / "out/report.html").read_text()
    assert "a &lt;small&gt; study" in page
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r"(src|href)=\"(?!data:)", page)  # nothing is fetched
    with open(tmp_path / "out/runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["norm"], row["seed"]) for row in rows] == [(n, str(k)) for n in by_norm for k in range(3)]
    assert table_csv(runs) == (tmp_path / "out/runs.csv").read_text()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = finished(tmp_path, "bn", 0, 0.99)
    with pytest.raises(ValueError, match=r"file/out: cannot make the directory: .*; name another with --out"):
        write_study([run], ["bn"], "study", tmp_path / "file/out")


def test_html_table_escapes_its_cells() -> None:
    assert html_table("| a<b | **c** |\n| --- | --- |\n| 1 | 2 |") == (
        "<table>\n<tr><th>a&lt;b</th><th><strong>c</strong></th></tr>\n<tr><td>1</td><td>2</td></tr>\n</table>"
    )


def test_a_run_without_misclassified_png(tmp_path: Path) -> None:
    runs = [finished(tmp_path, norm, 0, 0.99) for norm in ("bn", "gn")]
    (runs[0].path / "misclassified.png").unlink()
    write_study(runs, ["bn", "gn"], "study", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        name for name in RESULTS if name != "misclassified-bn.png"
    ]
