import csv
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from kerasnorm.confusion import Confusion, read_confusion, write_confusion
from kerasnorm.norms import NORMS
from kerasnorm.study.report import write_study
from kerasnorm.study.tables import table_csv
from tests.kerasnorm.study.finished import COUNTS, RESULTS, finished


def test_files_of_a_study(tmp_path: Path) -> None:
    by_norm = {"bn": [0.991, 0.993, 0.992], "gn": [0.994, 0.9965, 0.995]}
    runs = [finished(tmp_path, norm, k, v) for norm, values in by_norm.items() for k, v in enumerate(values)]
    write_study(runs, ["bn", "gn"], "a <small> study", tmp_path / "out", "compare --data 'a & b'")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == RESULTS
    page = (tmp_path / "out/report.html").read_text()
    for text in (
        "<h1>a &lt;small&gt; study</h1>",
        "<p>gn (Group Normalization) comes first, with 99.52 % of the test images right",
        "<code>compare --data &#39;a &amp; b&#39;</code>",
        '<td>cat &amp; &lt;dog&gt;</td><td class="number">75.00</td>',
        "gn, Group Normalization, sum over 3 seeds",
        "Sums over 3 seeds: each test image counts 3 times.",
        "Test cross-entropy by epoch: mean of 3 seeds, and a band from the smallest to the largest value, on a "
        "logarithmic axis.",
        "0123456789abcdef",
        "Some CPU, 2 cores, Linux",
    ):
        assert text in page
    total = read_confusion(tmp_path / "out/confusion-gn.csv")
    assert total is not None
    np.testing.assert_array_equal(total.counts, 3 * COUNTS)
    assert (tmp_path / "out/table.md").read_text().startswith("gn (Group Normalization) comes first")
    assert page.count("data:image/png;base64,") == 9
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import", page)  # nothing is fetched
    with open(tmp_path / "out/runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["norm"], row["seed"]) for row in rows] == [(n, str(k)) for n in by_norm for k in range(3)]
    assert table_csv(runs) == (tmp_path / "out/runs.csv").read_text()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = finished(tmp_path, "bn", 0, 0.99)
    with pytest.raises(ValueError, match=r"file/out: cannot make the directory: .*; name another with --out"):
        write_study([run], ["bn"], "study", tmp_path / "file/out")


def test_a_run_without_misclassified_png(tmp_path: Path) -> None:
    runs = [finished(tmp_path, norm, 0, 0.99) for norm in ("bn", "gn")]
    (runs[0].path / "misclassified.png").unlink()
    write_study(runs, ["bn", "gn"], "study", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        name for name in RESULTS if name != "misclassified-bn.png"
    ]


def test_one_run_has_nothing_to_compare(tmp_path: Path) -> None:
    write_study([finished(tmp_path, "bn", 0, 0.99)], ["bn"], "study", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {name for name in RESULTS if "gn" not in name} - {"accuracy.png"}
    page = (tmp_path / "out/report.html").read_text()
    assert "with one seed" in page
    assert "Differences" not in page
    assert "Sums over" not in page
    assert "| bn - " not in (tmp_path / "out/table.md").read_text()


def test_runs_of_an_older_version_have_no_confusion_matrix(tmp_path: Path) -> None:
    runs = [
        finished(tmp_path, norm, seed, 0.99, confusion=norm == "gn" or seed == 0)
        for seed in (0, 1)
        for norm in ("bn", "gn")
    ]
    write_study(runs, ["bn", "gn"], "study", tmp_path / "out")
    assert not (tmp_path / "out/confusion-bn.csv").exists()
    assert (tmp_path / "out/confusion-gn.csv").exists()
    assert "Without classes: bn." in (tmp_path / "out/report.html").read_text()
    for run in runs:
        (run.path / "confusion.csv").unlink(missing_ok=True)
    write_study(runs, ["bn", "gn"], "study", tmp_path / "none")
    page = (tmp_path / "none/report.html").read_text()
    assert "Confusion matrices" not in page
    assert "Accuracy of each class" not in page


def test_of_many_classes_the_most_difficult_are_in_the_table(tmp_path: Path) -> None:
    run = finished(tmp_path, "bn", 0, 0.99)
    counts = np.diag(np.arange(40))  # class 0 has no image
    counts[7, 8], counts[30, 3] = 70, 60
    names = tuple(f"class-{index}" for index in range(40))
    write_confusion(run.path / "confusion.csv", Confusion(names, counts))
    write_study([run], ["bn"], "study", tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text()
    shown = re.findall(r"<td>class-(\d+)</td>", page)
    assert len(shown) == 20
    assert shown[:3] == ["7", "30", "1"]
    assert "the 20 classes of 40 with the lowest" in page


def test_ten_norms_with_five_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms = [f"n{index}" for index in range(10)]
    for norm in norms:
        monkeypatch.setitem(NORMS, norm, dataclasses.replace(NORMS["bn"], key=norm, name=f"Norm {norm}"))
    accuracies = np.random.default_rng(0).normal(0.99, 0.001, (10, 5)) + 0.002 * np.arange(10)[::-1, None]
    runs = [
        finished(tmp_path, norm, seed, accuracies[k, seed])
        for seed in range(5)
        for k, norm in enumerate(norms)
    ]
    write_study(runs, norms, "study", tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text()
    assert "<summary>All 45 differences</summary>" in page
    assert re.search(
        r"\d+ of 45 pairs of norms differ by more than chance; n0 is above \d of the 9 others", page
    )
