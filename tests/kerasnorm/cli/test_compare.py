"""The study as a user runs it: wrong use, and one that is interrupted and continued."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from kerasnorm.cli.compare import cli
from kerasnorm.lock import check_unlocked, locked
from tests.kerasnorm.study.finished import RESULTS

Here = Callable[..., "tuple[int, str, str]"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--seeds 0", "seeds: expected 1 or more, got 0"),
        ("--norms bn bn", "norms: expected each once, got bn bn"),
        ("--norms xn", "argument --norms: invalid choice: 'xn'"),
        (
            "--norms bn gn --baseline ln",
            "baseline: expected one of the norms, bn gn, got ln; add it to --norms",
        ),
        ("--jobs 0", "jobs: expected 1 or more, got 0"),
        ("--engine dask --tensorboard", "tensorboard: expected --shared-runs and no DIR with --engine dask"),
        ("--epochs 0", "epochs: expected at least 1, got 0"),
        (
            "--data gone.npz --norms bn --seeds 1",
            "gone.npz: expected a .npz file, found nothing of that name",
        ),
        ("--norms gn --groups 5", "groups: expected a divisor of filters=16"),
        ("--groups 4", "groups: expected None for norm 'bn', got 4"),
        ("--held-out -1", "held_out: expected 0 or more images, got -1"),
        ("--engine slurm", "argument --engine: invalid choice: 'slurm'"),
        ("--scheduler tcp://127.0.0.1:1", "scheduler: expected --engine dask with it, got --engine local"),
    ],
)
def test_wrong_use_ends_with_one_line_and_exit_code_2(
    here: Here, tmp_path: Path, options: str, message: str
) -> None:
    if "--data" not in options:
        options += " --data digits"
    code, _, errors = here(cli, *options.split(), "--runs", tmp_path / "runs")
    assert code == 2
    assert errors.count("\n") == 1
    assert message in errors


@pytest.mark.parametrize(
    "options", ["--norms gn --groups 5", "--data gone.npz", "--seeds 0", "--norms bn bn", "--held-out -1"]
)
def test_wrong_use_is_answered_without_tensorflow(tmp_path: Path, options: str) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from kerasnorm.cli.compare import cli; sys.exit(cli())"
    )
    argv = [sys.executable, "-c", program, "--data", "digits", *options.split()]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_second_study_of_the_same_runs_is_refused(here: Here, tmp_path: Path) -> None:
    options = ("--data", "digits", "--norms", "bn", "--seeds", 1, "--runs", tmp_path)
    with locked(tmp_path, ".compare-digits-documented.lock"):
        assert here(cli, *options) == (
            2,
            "",
            f"error: {tmp_path}: expected runs that no other study trains, got those of a kerasnorm.compare that is "
            "running; wait for it, or name another folder with --runs\n",
        )
        code, _, errors = here(
            cli, *options, "--recipe", "notebook", "--epochs", 0
        )  # other runs: goes further
        assert (code, errors) == (2, "error: epochs: expected at least 1, got 0\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_interrupted_study_is_continued(here: Here, tmp_path: Path) -> None:
    options = (
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
    command = [sys.executable, "-m", "kerasnorm.compare", *map(str, options)]
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
    assert errors.strip() == "error: interrupted; to continue, run the same command again"

    stamp = (first / "metrics.json").stat().st_mtime_ns
    code, output, errors = here(cli, *options)
    assert (code, errors) == (0, "")
    assert "1 of 2 runs are complete already" in output
    assert re.search(r"1 of 1: gn-digits-documented-seed0: [\d.]+ %, \d+ s; 1 min in all", output)
    assert (first / "metrics.json").stat().st_mtime_ns == stamp
    out = tmp_path / "runs/compare-digits-documented"
    assert sorted(path.name for path in out.iterdir()) == RESULTS
    assert (out / "table.md").read_text() in output


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_study_stops_its_trainings(tmp_path: Path, how: signal.Signals) -> None:
    """The signal goes to the study alone, not to its process group as a terminal's Ctrl-C does."""
    options = ("--norms", "bn", "gn", "--seeds", "1", "--data", "digits", "--epochs", "200", "--jobs", "2")
    process = subprocess.Popen(
        [sys.executable, "-m", "kerasnorm.compare", *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    runs = [tmp_path / f"runs/{norm}-digits-documented-seed0" for norm in ("bn", "gn")]
    deadline = time.monotonic() + 120
    while not all((run / "config.json").exists() for run in runs):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for run in runs:
        with pytest.raises(ValueError, match="in which a training is running"):
            check_unlocked(run)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + how
    assert errors == "error: interrupted; to continue, run the same command again\n"
    for run in runs:
        check_unlocked(run)  # the trainings have ended
