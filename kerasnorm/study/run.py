"""train_all: the plan of a study, an engine that trains its runs, and their collection."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from kerasnorm.study.plan import Run

# How often to ask the engine for its places while no run finishes, in seconds.
POLL_SECONDS = 2.0

Result = TypeVar("Result")


class Engine(Protocol[Result]):
    """Where runs are trained. `Result` is what a training returns."""

    def places(self) -> int:
        """Return how many runs can train at a time, now.

        Raises:
            UserError: the engine has lost what it trains on.
        """

    def submit(self, run: Run) -> Future[Result]:
        """Start to train a run, or resume it."""

    def collect(self, run: Run, result: Result) -> float:
        """Make sure that the run's directory holds the complete run, and return the seconds of its training."""

    def stop(self) -> None:
        """Stop all trainings. Unfinished runs keep their last finished epoch."""


def train_all(
    runs: Sequence[Run],
    engine: AbstractContextManager[Engine[Result]],
    say: Callable[[str], None] = print,
) -> None:
    """Train the runs that are not complete; an interrupted run is resumed.

    Args:
        runs: the runs.
        engine: a context that yields the engine. It is entered only if there is a run to train.
        say: called with a line for each finished run, with an estimate of the time left.

    Raises:
        UserError: a run failed; the message is the run's own.
        KeyboardInterrupt: after Ctrl-C; unfinished runs keep their last finished epoch.

    Whatever it raises, the trainings have been stopped by then.
    """
    todo = [run for run in runs if not run.complete]
    if len(todo) < len(runs):
        say(f"{len(runs) - len(todo)} of {len(runs)} runs are complete already")
    if not todo:
        return
    with engine as opened:
        try:
            _train(todo, opened, say)
        except BaseException:
            opened.stop()
            raise


def _train(todo: Sequence[Run], engine: Engine[Result], say: Callable[[str], None]) -> None:
    start = time.monotonic()
    seconds: list[float] = []
    waiting = deque(todo)
    running: dict[Future[Result], Run] = {}
    while waiting or running:
        places = engine.places()
        # No more than there are places: a worker that joins a cluster later finds runs that are still waiting.
        while waiting and len(running) < places:
            run = waiting.popleft()
            running[engine.submit(run)] = run
        if not running:  # the cluster has no workers for the moment
            time.sleep(POLL_SECONDS)
        for future in wait(running, POLL_SECONDS, FIRST_COMPLETED).done:
            run = running.pop(future)
            seconds.append(engine.collect(run, future.result()))
            left = math.ceil((len(todo) - len(seconds)) / max(1, places)) * statistics.median(seconds)
            say(
                f"{len(seconds)} of {len(todo)}: {run.path.name}: {100 * run.metrics['test_accuracy']:.2f} %, "
                f"{seconds[-1]:.0f} s; "
                + (
                    f"about {_duration(left)} left"
                    if left
                    else f"{_duration(time.monotonic() - start)} in all"
                )
            )


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
