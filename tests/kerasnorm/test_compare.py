"""The study: its plan, its table, a whole small one, and one that is cut off."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from kerasnorm import RECIPES
from kerasnorm.compare import Run, _start, cli, core_shares, plan, table_csv, tables, write_study
from kerasnorm.image_plots import plot_misclassified
from kerasnorm.report import html_table

Here = Callable[..., "tuple[int, str, str]"]
RESULTS = sorted(
    [
        *("table.md", "runs.csv", "report.html", "misclassified-bn.png", "misclassified-gn.png"),
        *("train-loss.png", "train-accuracy.png", "test-loss.png", "test-accuracy.png"),
    ]
)


def finished(folder: Path, norm: str, seed: int, accuracy: float) -> Run:
    """A run directory as training leaves it, of two epochs."""
    path = folder / f"{norm}-{seed}"
    path.mkdir()
    metrics = {
        "test_accuracy": accuracy,
        "best_test_accuracy": accuracy + 0.001,
        "best_epoch": 1,
        "train_accuracy": 0.99,
        "misclassified": 10,
        "seconds": 60.0,
    }
    (path / "metrics.json").write_text(json.dumps(metrics))
    columns = [
        "epoch",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "cross_entropy",
        "val_cross_entropy",
        "seconds",
    ]
    rows = [[str(epoch), *["0.5"] * 8] for epoch in (1, 2)]
    (path / "history.csv").write_text("\n".join(",".join(row) for row in [columns, *rows]) + "\n")
    images: np.ndarray = np.zeros((1, 8, 8), np.uint8)
    plot_misclassified(images, [1], [2]).savefig(path / "misclassified.png")
    return Run(norm, seed, path)


def test_tables_and_files(tmp_path: Path) -> None:
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


def test_one_seed_claims_nothing(tmp_path: Path) -> None:
    runs = [finished(tmp_path, "bn", 0, 0.991), finished(tmp_path, "gn", 0, 0.999)]
    results, differences = tables(runs, ["bn", "gn"])
    assert "**99.10** |" in results
    assert "one seed cannot tell" in differences


def test_html_table_escapes() -> None:
    assert html_table("| a<b | **c** |\n| --- | --- |\n| 1 | 2 |") == (
        "<table>\n<tr><th>a&lt;b</th><th><strong>c</strong></th></tr>\n<tr><td>1</td><td>2</td></tr>\n</table>"
    )


def test_plan_goes_seed_by_seed_and_refuses_another_studys_runs(tmp_path: Path) -> None:
    recipe = RECIPES["notebook"]
    runs = plan(["bn", "gn"], 2, "mnist", recipe, tmp_path)
    assert [run.path.name for run in runs] == [
        f"{norm}-mnist-notebook-seed{seed}" for seed in (0, 1) for norm in ("bn", "gn")
    ]
    runs[1].path.mkdir()
    (runs[1].path / "config.json").write_text('{"norm": "gn", "seed": 0, "recipe": {"epochs": 3}}')
    with pytest.raises(
        ValueError,
        match=r"gn-mnist-notebook-seed0: expected a run with .*=.*; name another folder with --runs",
    ):
        plan(["bn", "gn"], 2, "mnist", recipe, tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--seeds 0", "seeds: expected 1 or more, got 0"),
        ("--norms bn bn", "norms: expected each once, got bn bn"),
        ("--norms xn", "argument --norms: invalid choice: 'xn'"),
        ("--jobs 0", "jobs: expected 1 or more, got 0"),
        ("--epochs 0", "epochs: expected at least 1, got 0"),
        (
            "--data gone.npz --norms bn --seeds 1",
            "gone.npz: expected a .npz file, found nothing of that name",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(here: Here, tmp_path: Path, words: str, message: str) -> None:
    if "--data" not in words:
        words += " --data digits"
    code, _, errors = here(cli, *words.split(), "--runs", tmp_path / "runs")
    assert code == 2
    assert errors.count("\n") == 1
    assert message in errors


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs a system with CPU affinity")
def test_jobs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7, 2, 4, 5, 9})
    assert core_shares(1) == [[]]
    assert core_shares(2) == [[2, 5, 9], [4, 7]]
    assert core_shares(6) == [[2], [4], [5], [7], [9], [2]]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs a system with CPU affinity")
def test_each_job_runs_on_its_cores() -> None:
    core = min(os.sched_getaffinity(0))
    script = "import os, sys, time; time.sleep(0.3); sys.exit(str(sorted(os.sched_getaffinity(0))))"
    process = _start([sys.executable, "-c", script], [core])
    assert process.communicate()[1] == f"[{core}]\n"


@pytest.mark.slow
def test_a_study_that_is_cut_off_goes_on_where_it_was(here: Here, tmp_path: Path) -> None:
    words = (
        "--norms",
        "bn",
        "gn",
        "--seeds",
        1,
        "--data",
        "digits",
        "--epochs",
        2,
        "--runs",
        tmp_path / "runs",
    )
    command = [sys.executable, "-m", "kerasnorm.compare", *map(str, words)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # These tests may run in the background, where a shell lets SIGINT be ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    first, second = (tmp_path / f"runs/{norm}-digits-documented-seed0" for norm in ("bn", "gn"))
    deadline = time.monotonic() + 120
    while not (second / "config.json").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal's Ctrl-C, which reaches the whole group
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "error: interrupted; the same command goes on where it was"

    stamp = (first / "metrics.json").stat().st_mtime_ns
    code, output, errors = here(cli, *words)
    assert (code, errors) == (0, "")
    assert "1 of 2 runs are complete already" in output
    assert re.search(r"1 of 1: gn-digits-documented-seed0: [\d.]+ %, \d+ s; 1 min in all", output)
    assert (first / "metrics.json").stat().st_mtime_ns == stamp
    out = tmp_path / "runs/compare-digits-documented"
    assert sorted(path.name for path in out.iterdir()) == RESULTS
    assert (out / "table.md").read_text() in output
