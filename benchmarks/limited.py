"""Run a command with limits of time and memory."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

INTERVAL = 0.1  # seconds between two looks at the memory of the process


@dataclass(frozen=True)
class Finished:
    """A command that has ended.

    Attributes:
        output: what it wrote to stdout.
        failure: why it failed, in one line; empty if it did not.
        seconds: how long it ran.
        peak_gib: the largest resident size that was seen.
    """

    output: str
    failure: str
    seconds: float
    peak_gib: float


def run_limited(command: Sequence[str], folder: Path, seconds: float, gib: float) -> Finished:
    """Run a command in a folder, and kill it when it takes more time or memory than allowed (Linux).

    Args:
        command: the command and its arguments.
        folder: where to run it.
        seconds: how long it may take.
        gib: how much memory it may hold, in GiB.
    """
    start, peak, failure = time.monotonic(), 0.0, ""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)
        while process.poll() is None:
            peak = max(peak, _resident_gib(process.pid))
            if peak > gib:
                failure = f"takes more than {gib:g} GiB"
            elif time.monotonic() - start > seconds:
                failure = f"takes more than {seconds:g} seconds"
            if failure:
                process.kill()
                process.wait()
            else:
                time.sleep(INTERVAL)
        output, errors = _text(out), _text(err)
    if process.returncode and not failure:
        last = next(iter(reversed(errors.strip().splitlines())), "")
        failure = last or f"ends by signal {-process.returncode}"
    return Finished(output, failure, time.monotonic() - start, peak)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _resident_gib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    kib = next((line.split()[1] for line in lines if line.startswith("VmRSS")), "0")
    return int(kib) / 2**20
