"""Recorded runs: train what is missing by kerasnorm.compare, and keep the records of complete runs in results/runs/.

A record is a run's config.json, metrics.json, history.csv and confusion.csv. A run that has one is not trained again,
on another machine either.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from export.command import run
from export.errors import UserError
from kerasnorm.cli.interrupts import sigterm_as_interrupt
from kerasnorm.confusion import CONFUSION
from kerasnorm.history import HISTORY
from kerasnorm.rundir import CONFIG, METRICS
from kerasnorm.study.plan import Run

ROOT = Path(__file__).resolve().parent.parent
RUNS, RECORDS, RESULTS = ROOT / "runs", ROOT / "results/runs", ROOT / "results/study"


def recorded(norm: str, data: str, recipe: str, seed: int, of: str = "") -> Run:
    """Return a run with its record as the run directory; `of` is the folder of its setting."""
    return Run(norm, seed, RECORDS / of / f"{norm}-{data}-{recipe}-seed{seed}")


def folder(part: str, setting: str) -> str:
    """Return the folder of a setting's runs, in runs/ and results/runs/."""
    return f"{part}-{setting}".replace(" ", "-").replace(",", "").lower()


def compare(seeds: int, options: Sequence[str], data: str, runs: Path = RUNS) -> None:
    """Call kerasnorm.compare, and keep the records of all complete runs, even if it fails or is interrupted."""
    restore_records(runs)
    command = [sys.executable, "-m", "kerasnorm.compare", "--data", data, "--seeds", str(seeds)]
    print("+", *command[1:], *options, flush=True)
    try:
        with subprocess.Popen(
            [*command, "--runs", str(runs.relative_to(ROOT)), *options], cwd=ROOT
        ) as process:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                process.terminate()  # it stops its trainings, which continue from their last epoch
                raise
    finally:
        keep_records(runs)
    if code:
        sys.exit(code)


def keep_records(runs: Path) -> None:
    """Copy the records of the complete runs in a folder to results/runs/."""
    for metrics in runs.glob(f"*/{METRICS}"):
        _copy_record(metrics.parent, RECORDS / metrics.parent.relative_to(RUNS))


def restore_records(runs: Path) -> None:
    """Copy the records of runs that a folder lacks into it, where they count as complete."""
    for metrics in (RECORDS / runs.relative_to(RUNS)).glob(f"*/{METRICS}"):
        if not (runs / metrics.parent.name).exists():
            _copy_record(metrics.parent, runs / metrics.parent.name)


def _copy_record(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, HISTORY, CONFUSION, METRICS):  # the metrics are last: they mark the run as complete
        if (source / name).exists():  # a run by an older version has no confusion.csv
            shutil.copyfile(source / name, target / name)


def wanted(parts: Sequence[str]) -> Sequence[str]:
    """Return the parts that the command line names, or all.

    Raises:
        UserError: it names an unknown one.
    """
    for part in sys.argv[1:]:
        if part not in parts:
            raise UserError(f"part: expected one of {', '.join(parts)}, got {part!r}")
    return sys.argv[1:] or parts


def run_interruptibly(main: Callable[[Sequence[str] | None], int]) -> int:
    """Run a script's `main`, and return its exit code. Ctrl-C and SIGTERM stop the trainings that it has started."""
    with sigterm_as_interrupt():
        return run(main)
