"""The local engine: runs in processes on this machine, side by side on shares of its cores."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from kerasnorm.study.plan import Run
from kerasnorm.study.training import Training, train_in_process


@contextlib.contextmanager
def local_engine(training: Training, jobs: int = 1) -> Iterator[LocalEngine]:
    """Yield an engine that trains on this machine.

    Args:
        training: what the study trains.
        jobs: number of runs at a time, each on its own share of the cores (Linux).
    """
    with ThreadPoolExecutor(jobs) as pool:
        yield LocalEngine(pool, training, jobs)


class LocalEngine:
    """Trains runs in processes, each started and awaited by a thread of `pool`."""

    def __init__(self, pool: ThreadPoolExecutor, training: Training, jobs: int) -> None:
        self._pool, self._training, self._jobs = pool, training, jobs
        self._stopped = threading.Event()
        self._shares: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        for share in core_shares(jobs):
            self._shares.put(share)

    def places(self) -> int:
        """Return the number of jobs."""
        return self._jobs

    def submit(self, run: Run) -> Future[float]:
        """Train a run; the result is the seconds that it took."""
        return self._pool.submit(self._train, run)

    def collect(self, run: Run, result: float) -> float:
        """Return the seconds of a run. Its files are in its directory already."""
        return result

    def stop(self) -> None:
        """Stop the processes, and wait until they have ended."""
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)

    def _train(self, run: Run) -> float:
        share = self._shares.get()
        try:
            return train_in_process(run, self._training, self._stopped.is_set, share)
        finally:
            self._shares.put(share)


def core_shares(jobs: int) -> list[list[int]]:
    """Divide the cores as evenly as possible among processes that run side by side.

    A small CNN takes hardly longer on one core than on two, so two runs on a core each finish sooner than one after
    the other.

    Returns:
        The cores of each job; empty lists if there is one job, or if the system has no CPU affinity.
    """
    if jobs == 1 or not hasattr(os, "sched_getaffinity"):
        return [[] for _ in range(jobs)]
    cores = sorted(os.sched_getaffinity(0))
    return [cores[job::jobs] or [cores[job % len(cores)]] for job in range(jobs)]
