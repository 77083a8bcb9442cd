"""The training of one run, in a process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from export.errors import CheckError, UserError
from export.files import write_json
from kerasnorm.recipes import Recipe
from kerasnorm.study.plan import Run

# How often to look whether a training is to be stopped, in seconds.
POLL_SECONDS = 0.2


class Stopped(Exception):
    """The training was stopped. Its run directory keeps the last finished epoch."""


@dataclasses.dataclass(frozen=True)
class Training:
    """What is the same for all trainings of a study.

    Attributes:
        recipe: the recipe.
        data: a name or a file, as for `load_data`.
        held_out: number of training images that take the place of the test images.
        sha256: SHA-256 that the data must have; None: any.
        options: further options of `kerasnorm.train`.
    """

    recipe: Recipe
    data: str
    held_out: int = 0
    sha256: str | None = None
    options: tuple[str, ...] = ()

    def config(self) -> dict[str, Any]:
        """Return the content of the file for --config."""
        data = {"name": self.data, "source": self.data, "held_out": self.held_out, "sha256": self.sha256}
        return {"recipe": dataclasses.asdict(self.recipe), "data": data}


def train_in_process(
    run: Run, training: Training, stopped: Callable[[], bool], cores: Sequence[int] = ()
) -> float:
    """Train a run, or resume it, in a process of its own, which ends if this one does.

    Args:
        run: the run.
        training: what the study trains.
        stopped: whether to stop; called several times a second.
        cores: the cores that the process may use; empty: all.

    Returns:
        The seconds that it took.

    Raises:
        UserError: the training failed; the message is its own.
        CheckError: it failed its own check, likewise.
        Stopped: `stopped` returned True, and the process has ended.
    """
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kerasnorm-") as folder, _pipe() as reader:
        config = Path(folder) / "config.json"
        write_json(config, training.config())
        process = subprocess.Popen(
            training_command(run, config, training.options),
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        if cores:
            with contextlib.suppress(ProcessLookupError):  # the process has ended already
                os.sched_setaffinity(process.pid, cores)  # early enough: Python is still importing
        errors = _wait(process, stopped)
    if process.returncode < 0:
        raise UserError(
            f"{run.path}: expected a training that ends by itself, got one that was ended by signal "
            f"{-process.returncode}; if memory was full, train fewer at a time"
        )
    if process.returncode:
        lines = [line for line in errors.splitlines() if line.startswith("error: ")] or errors.splitlines()
        reason = lines[-1].removeprefix("error: ") if lines else f"exit code {process.returncode}"
        raise (CheckError if process.returncode == 1 else UserError)(f"{run.path}: {reason}")
    return time.monotonic() - begin


def training_command(run: Run, config: Path, options: Sequence[str]) -> list[str]:
    """Return argv of the process."""
    command = [sys.executable, "-m", "kerasnorm.cli.child_train", "--norm", run.norm, "--seed", str(run.seed)]
    return [*command, "--out", str(run.path), "--resume", "--config", str(config), *options]


@contextlib.contextmanager
def _pipe() -> Iterator[int]:
    """Yield the end of a pipe that a process reads: it ends when nobody holds the other end any more."""
    reader, writer = os.pipe()
    try:
        yield reader
    finally:
        os.close(reader)
        os.close(writer)


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
