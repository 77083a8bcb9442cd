"""A Dask scheduler and workers on this machine, in processes of their own, as a user starts them."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.kerasnorm.study import fake_training

ROOT = Path(__file__).resolve().parents[3]


class DaskCluster:
    """A scheduler, and workers that are started one by one. Unless it `trains`, see `fake_training`.

    Args:
        folder: an empty folder, for their logs and what they write.
        trains: whether the workers really train.
    """

    def __init__(self, folder: Path, *, trains: bool = False) -> None:
        self.folder, self.trains = folder, trains
        self.started = folder / "started"
        self.started.mkdir()
        self.hold = self.started / "hold"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0"
        )
        self.address = self._address()

    def add_worker(self, *options: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a worker for one run at a time; return its nanny."""
        preload = [] if self.trains else ["--preload", str(fake_training.__file__)]
        options = ("--nthreads", "1", "--resources", "cores=1", *preload, *options)
        scratch = str(self.folder / "scratch")
        return self._start("worker", self.address, "--local-directory", scratch, *options, **environment)

    def trainings(self, name: str = "") -> list[int]:
        """Return the processes that have begun to train a run of that name."""
        return [int(file.suffix[1:]) for file in self.started.glob(f"{name}*.*")]

    def log(self, name: str = "*") -> str:
        """Return what the processes have written."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob(f"{name}.log")))

    def close(self) -> None:
        """End all processes."""
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)

    def _start(self, kind: str, *options: str, **environment: str) -> "subprocess.Popen[bytes]":
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        variables = {
            **os.environ,
            "PYTHONPATH": path,
            "KERASNORM_TEST_STARTED": str(self.started),
            **environment,
        }
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
        with (self.folder / f"{kind}{len(self.processes)}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=variables))
        return self.processes[-1]

    def _address(self) -> str:
        deadline = time.monotonic() + 60
        while "Scheduler at:" not in self.log("scheduler*"):
            assert self.scheduler.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)
        line = next(line for line in self.log("scheduler*").splitlines() if "Scheduler at:" in line)
        return line.split()[-1]
