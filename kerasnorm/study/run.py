"""The engine of a study: trains its runs in processes, side by side on shares of the cores."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from export.errors import UserError
from kerasnorm.study.plan import Run


def train_all(
    runs: Sequence[Run], options: Sequence[str], jobs: int = 1, say: Callable[[str], None] = print
) -> None:
    """Train the runs that are not complete, each in a process of its own; an interrupted run is resumed.

    Args:
        runs: the runs.
        options: further options of `kerasnorm.train`: data, recipe and hyper-parameters.
        jobs: number of runs at a time, each on its own share of the cores (Linux).
        say: called with a line for each finished run, with an estimate of the time left.

    Raises:
        UserError: a run failed; the message is the run's own.
        KeyboardInterrupt: after Ctrl-C; unfinished runs keep their last finished epoch.

    Whatever it raises, the processes have ended by then.
    """
    todo = [run for run in runs if not run.complete]
    if len(todo) < len(runs):
        say(f"{len(runs) - len(todo)} of {len(runs)} runs are complete already")
    seconds: list[float] = []
    start = time.monotonic()
    shares: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
    for share in core_shares(jobs):
        shares.put(share)
    processes = _Processes()

    def train(run: Run) -> None:
        begin = time.monotonic()
        command = [sys.executable, "-m", "kerasnorm.train", "--norm", run.norm, "--seed", str(run.seed)]
        command += ["--out", str(run.path), "--resume", *options]
        share = shares.get()
        try:
            process = processes.start(command, share)
            errors = process.communicate()[1]
        finally:
            shares.put(share)
        if process.returncode:
            lines = errors.strip().splitlines() or [f"exit code {process.returncode}"]
            raise UserError(f"{run.path}: {lines[-1].removeprefix('error: ')}")
        seconds.append(time.monotonic() - begin)
        left = math.ceil((len(todo) - len(seconds)) / jobs) * statistics.median(seconds)
        say(
            f"{len(seconds)} of {len(todo)}: {run.path.name}: {100 * run.metrics['test_accuracy']:.2f} %, "
            f"{seconds[-1]:.0f} s; "
            + (f"about {_duration(left)} left" if left else f"{_duration(time.monotonic() - start)} in all")
        )

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(train, run) for run in todo]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.stop()
            raise


class _Processes:
    """The processes that several threads have started, so that one can stop them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: list[subprocess.Popen[str]] = []
        self._stopped = False

    def start(self, command: Sequence[str], cores: Sequence[int]) -> subprocess.Popen[str]:
        """Start a process, unless the others have been stopped already."""
        with self._lock:
            if self._stopped:
                raise KeyboardInterrupt
            self._started.append(start_on_cores(command, cores))
            return self._started[-1]

    def stop(self) -> None:
        """Stop the running processes. They may be anywhere: a run directory can be resumed after any end."""
        with self._lock:
            self._stopped = True
            for process in self._started:
                process.terminate()  # it does nothing to a process that has ended


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


def start_on_cores(command: Sequence[str], cores: Sequence[int]) -> subprocess.Popen[str]:
    """Start a process on some cores, or on all of them if none are named."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if cores:
        with contextlib.suppress(ProcessLookupError):  # the process has ended already
            os.sched_setaffinity(process.pid, cores)  # early enough: Python is still importing
    return process


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
