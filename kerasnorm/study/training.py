"""The training of one run, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from export.errors import UserError
from kerasnorm.study.plan import Run

# How often to look whether a training is to be stopped, in seconds.
POLL_SECONDS = 0.2


class Stopped(Exception):
    """The training was stopped. Its run directory keeps the last finished epoch."""


def train_in_process(
    run: Run, options: Sequence[str], stopped: Callable[[], bool], cores: Sequence[int] = ()
) -> float:
    """Train a run, or resume it, in a process of its own, which ends if this one does.

    Args:
        run: the run.
        options: further options of `kerasnorm.train`: data, recipe and hyper-parameters.
        stopped: whether to stop; called several times a second.
        cores: the cores that the process may use; empty: all.

    Returns:
        The seconds that it took.

    Raises:
        UserError: the training failed; the message is its own.
        Stopped: `stopped` returned True, and the process has ended.
    """
    begin = time.monotonic()
    reader, writer = os.pipe()  # the process ends when nobody holds `writer` any more
    try:
        process = subprocess.Popen(
            training_command(run, options),
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if cores:
            with contextlib.suppress(ProcessLookupError):  # the process has ended already
                os.sched_setaffinity(process.pid, cores)  # early enough: Python is still importing
        errors = _wait(process, stopped)
    finally:
        os.close(reader)
        os.close(writer)
    if process.returncode:
        lines = errors.strip().splitlines() or [f"exit code {process.returncode}"]
        raise UserError(f"{run.path}: {lines[-1].removeprefix('error: ')}")
    return time.monotonic() - begin


def training_command(run: Run, options: Sequence[str]) -> list[str]:
    """Return argv of the process."""
    command = [sys.executable, "-m", "kerasnorm.cli.child_train", "--norm", run.norm, "--seed", str(run.seed)]
    return [*command, "--out", str(run.path), "--resume", *options]


def _wait(process: subprocess.Popen[str], stopped: Callable[[], bool]) -> str:
    """Wait for the process and return what it wrote to stderr."""
    while True:
        try:
            return process.communicate(timeout=POLL_SECONDS)[1]
        except subprocess.TimeoutExpired:
            if stopped():
                process.terminate()
                process.communicate()
                raise Stopped from None
