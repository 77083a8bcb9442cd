import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from kerasnorm.study.plan import Run
from kerasnorm.study.run import core_shares, start_on_cores, train_all
from tests.kerasnorm.study.finished import finished


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
    process = start_on_cores([sys.executable, "-c", script], [core])
    assert process.communicate()[1] == f"[{core}]\n"


def test_complete_runs_are_not_trained_again(tmp_path: Path) -> None:
    said: list[str] = []
    train_all([finished(tmp_path, "bn", 0, 0.99)], [], say=said.append)
    assert said == ["1 of 1 runs are complete already"]


def test_the_error_of_a_run_is_passed_on(tmp_path: Path) -> None:
    run = Run("bn", 0, tmp_path / "run")
    with pytest.raises(
        ValueError, match=r"run: gone\.npz: expected a \.npz file, found nothing of that name"
    ):
        train_all([run], ["--data", "gone.npz"])


def test_whatever_ends_the_study_stops_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []

    def start(command: Sequence[str], cores: Sequence[int]) -> subprocess.Popen[str]:
        script = "import sys; sys.exit('out of luck')" if "gn" in command else "import time; time.sleep(100)"
        started.append(start_on_cores([sys.executable, "-c", script], cores))
        return started[-1]

    monkeypatch.setattr("kerasnorm.study.run.start_on_cores", start)
    runs = [Run(norm, seed, tmp_path / f"{norm}-{seed}") for seed in range(3) for norm in ("gn", "bn")]
    begin = time.monotonic()
    with pytest.raises(ValueError, match="gn-0: out of luck"):
        train_all(runs, [], jobs=2)
    assert time.monotonic() - begin < 60
    assert 2 <= len(started) <= 3
    assert all(process.poll() is not None for process in started)
