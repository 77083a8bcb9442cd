import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from export.errors import CheckError
from kerasnorm import RECIPES
from kerasnorm.study.local_engine import local_engine
from kerasnorm.study.plan import Run
from kerasnorm.study.run import train_all
from kerasnorm.study.training import Stopped, Training, train_in_process
from tests.kerasnorm.study.finished import finished


class Recorder:
    """An engine without trainings, whose number of places changes."""

    def __init__(self, places: list[int]) -> None:
        self.places_left = places
        self.submitted: list[str] = []
        self.stopped = False

    def places(self) -> int:
        return self.places_left.pop(0) if len(self.places_left) > 1 else self.places_left[0]

    def submit(self, run: Run) -> Future[float]:
        self.submitted.append(run.path.name)
        future: Future[float] = Future()
        future.set_result(60.0)
        return future

    def collect(self, run: Run, result: float) -> float:
        finished(run.path.parent, run.norm, run.seed, 0.99)
        return result

    def stop(self) -> None:
        self.stopped = True

    @contextmanager
    def opened(self) -> Iterator["Recorder"]:
        yield self


def test_complete_runs_are_not_trained_again_and_need_no_engine(tmp_path: Path) -> None:
    said: list[str] = []

    @contextmanager
    def unreachable() -> Iterator[Recorder]:
        raise AssertionError
        yield

    train_all([finished(tmp_path, "bn", 0, 0.99)], unreachable(), said.append)
    assert said == ["1 of 1 runs are complete already"]


def test_runs_are_submitted_in_order_as_places_become_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kerasnorm.study.run.POLL_SECONDS", 0.01)
    engine = Recorder([2, 0, 0, 3])
    said: list[str] = []
    runs = [Run("bn", seed, tmp_path / f"bn-{seed}") for seed in range(5)]
    train_all(runs, engine.opened(), said.append)
    assert engine.submitted == [f"bn-{seed}" for seed in range(5)]
    assert not engine.stopped
    assert said[0].endswith("99.00 %, 60 s; about 2 min left")
    assert said[-1].startswith("5 of 5: bn-")
    assert said[-1].endswith("1 min in all")


def test_an_error_stops_the_engine(tmp_path: Path) -> None:
    engine = Recorder([1])
    engine.collect = lambda run, result: 1 // 0  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError, match="by zero"):
        train_all([Run("bn", 0, tmp_path / "bn-0")], engine.opened())
    assert engine.stopped


def test_the_error_of_a_run_is_passed_on(tmp_path: Path) -> None:
    run = Run("bn", 0, tmp_path / "run")
    with pytest.raises(
        ValueError, match=r"run: gone\.npz: expected a \.npz file, found nothing of that name"
    ):
        train_all([run], local_engine(Training(RECIPES["documented"], "gone.npz")))


def test_whatever_ends_the_study_stops_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    def command(run: Run, *_: object) -> list[str]:
        script = "import sys; sys.exit('out of luck')" if run.norm == "gn" else "import time; time.sleep(100)"
        return [sys.executable, "-c", script]

    def train(run: Run, *arguments: object) -> float:
        try:
            return train_in_process(run, *arguments)  # type: ignore[arg-type]
        except Stopped:
            ended.append(run.path.name)
            raise

    monkeypatch.setattr("kerasnorm.study.training.training_command", command)
    monkeypatch.setattr("kerasnorm.study.local_engine.train_in_process", train)
    runs = [Run(norm, seed, tmp_path / f"{norm}-{seed}") for seed in range(3) for norm in ("bn", "gn")]
    begin = time.monotonic()
    with pytest.raises(CheckError, match="gn-0: out of luck"):
        train_all(runs, local_engine(Training(RECIPES["documented"], "digits"), jobs=2))
    assert time.monotonic() - begin < 60
    assert ended == ["bn-0"]
