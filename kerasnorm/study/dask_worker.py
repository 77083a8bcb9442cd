"""What runs on a Dask worker: the check that it is as it should be, and the training of a run."""

from __future__ import annotations

import asyncio
import functools
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from distributed import Reschedule, Worker, get_worker
from distributed.core import Status

from export.errors import CheckError, UserError
from kerasnorm.lock import check_unlocked
from kerasnorm.study.environment import check_environment, environment
from kerasnorm.study.plan import Run
from kerasnorm.study.returned import Returned, read_run
from kerasnorm.study.training import POLL_SECONDS, Stopped, Training, train_in_process

# How long the lock of a run may outlive a training that died on another machine: the lease of NFS, in seconds.
LOCK_SECONDS = 120.0

_environment = functools.lru_cache(maxsize=2)(environment)


@dataclass(frozen=True)
class Study:
    """What is the same for all runs of a study, as it is sent to the workers.

    Attributes:
        key: names the study's folder on a worker; the same for the same study, so that it can be continued.
        environment: the environment of the machine that collects the runs.
        training: what is trained.
        shared: a file in the folder of the run directories that exists while the study runs, if all workers share
            the folder; otherwise None.
    """

    key: str
    environment: Mapping[str, str]
    training: Training
    shared: Path | None


async def check_worker(study: Study, dask_worker: Worker) -> None:
    """Check a worker in a thread, so that it keeps answering its scheduler; see `check_here`."""
    await asyncio.to_thread(check_here, study, dask_worker)


def check_here(study: Study, worker: Worker) -> None:
    """Check that a worker has the same versions, code and data, and sees the shared folder if there is one.

    Raises:
        UserError: it has others.
    """
    where = f"worker {worker.address}"
    try:
        got = _environment(study.training.data, study.training.held_out)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    check_environment(where, study.environment, got)
    if study.shared is not None and not study.shared.exists():
        raise UserError(
            f"{where}: expected the folder {study.shared.parent} of this machine, got none or another; share it by "
            "a network file system, or leave out --shared-runs"
        )


def train_task(study: Study, norm: str, seed: int, name: str) -> Returned:
    """Train a run, or resume what an earlier task has left of it.

    Args:
        study: what is the same for all runs.
        norm: a key of NORMS.
        seed: the seed.
        name: name of the run directory.

    Raises:
        UserError: the training failed, or the worker is not as it should be.
        CheckError: the training failed its own check.
    """
    worker = get_worker()
    check_here(study, worker)
    folder = study.shared.parent if study.shared else study_folder(study.key, worker)
    run = Run(norm, seed, folder / name)
    stopped = functools.partial(_is_unwanted, worker, worker.get_current_task())
    try:
        _wait_for_lock(run.path, stopped)
        seconds = train_in_process(run, study.training, stopped)
    except Stopped:
        raise Reschedule from None  # if the scheduler still wants the run, on another worker
    except (UserError, CheckError) as error:
        raise type(error)(f"worker {worker.address}: {error}") from None
    return read_run(run.path, seconds, shared=study.shared is not None)


def is_busy(session: str, dask_worker: Worker) -> bool:
    """Whether a worker still runs a task whose key ends in `session`."""
    return any(str(key).endswith(session) for key in list(dask_worker.state.tasks))


def remove_study_folder(key: str, dask_worker: Worker) -> None:
    """Remove what a study has written on a worker."""
    shutil.rmtree(study_folder(key, dask_worker), ignore_errors=True)


def study_folder(key: str, worker: Worker) -> Path:
    """Return a study's folder on a worker. It is not in the worker's own folder, which ends with the worker."""
    return Path(worker.local_directory).parent / f"kerasnorm-{key}"


def _is_unwanted(worker: Worker, key: object) -> bool:
    """Whether a task was cancelled, its client has gone, or its worker is about to end.

    Dask can't interrupt a task that runs. It only marks it.
    """
    task = worker.state.tasks.get(key)
    ending = worker.status in (Status.closing, Status.closed, Status.failed)
    return ending or task is None or task.state != "executing"


def _wait_for_lock(path: Path, stopped: Callable[[], bool]) -> None:
    """Wait until a training that died with its worker no longer holds the lock of the run."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return check_unlocked(path)
        except UserError:
            if time.monotonic() > deadline:
                raise
        if stopped():
            raise Stopped
        time.sleep(POLL_SECONDS)
