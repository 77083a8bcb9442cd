"""The Dask engine: each run is a task of a Dask cluster, which may be many machines.

Dask's client is the executor. A run takes `cores` of the resource of that name, which workers declare. The scheduler
gives the run of a worker that died to another one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import platform
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed
from distributed import Client, KilledWorker

import kerasnorm
from export.errors import UserError
from kerasnorm.study.dask_worker import Study, check_worker, is_busy, remove_study_folder, train_task
from kerasnorm.study.environment import DATA, environment
from kerasnorm.study.plan import Run
from kerasnorm.study.returned import Returned, check_shared_run, place_run
from kerasnorm.study.training import Training

CONNECT_SECONDS = 10.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Cluster:
    """Which cluster, and what a run takes of it.

    Attributes:
        address: address of the scheduler.
        cores: cores of each run.
        shared: whether all workers see the folder of the run directories under the same path.
        patience: seconds to wait while there is no worker.
    """

    address: str
    cores: int = 1
    shared: bool = False
    patience: float = 60.0


@contextlib.contextmanager
def dask_engine(
    cluster: Cluster,
    training: Training,
    folder: Path,
    say: Callable[[str], None] = print,
) -> Iterator[DaskEngine]:
    """Connect to a cluster, check its workers, and yield an engine that trains there.

    Args:
        cluster: which cluster.
        training: what the study trains.
        folder: the folder of the run directories.
        say: called with a line about the cluster.

    Raises:
        UserError: the scheduler or its workers can't be reached, or a worker has other versions or other data.
    """
    here = environment(training.data, training.held_out)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(_connect(cluster.address))
        shared = stack.enter_context(_shared_file(folder)) if cluster.shared else None
        options = (*training.options, "--cores", str(cluster.cores))
        training = dataclasses.replace(training, options=options)
        key = _key(platform.node(), folder.resolve(), training, here)
        study = Study(key, here, training, shared)
        engine = DaskEngine(client, cluster, study)
        engine.await_workers()
        _check_machines(client, study, f"scheduler {cluster.address}")
        places = engine.places()
        runs = "1 run" if places == 1 else f"{places} runs"
        say(f"scheduler {cluster.address}: {runs} at a time; dashboard: {_dashboard(client)}")
        try:
            yield engine
        except CancelledError:
            raise engine.lost() from None
        except KilledWorker as error:
            raise UserError(
                f"{error.task}: expected a worker that lives until it is trained, got {error.allowed_failures + 1} "
                f"that died, the last at {error.last_worker.address}; look into their logs, whether their memory "
                "was full, and run the same command again"
            ) from None
        client.run(remove_study_folder, key, on_error="ignore")


class DaskEngine:
    """Trains runs as tasks of a Dask cluster."""

    def __init__(self, client: Client, cluster: Cluster, study: Study) -> None:
        self._client, self._cluster, self._study = client, cluster, study
        self._executor = client.get_executor(resources={"cores": cluster.cores}, pure=False)
        self._session = uuid.uuid4().hex
        self._last_worker = time.monotonic()

    def places(self) -> int:
        """Return how many runs the workers can train at a time, now.

        Raises:
            UserError: the scheduler has gone, or there is no worker for too long.
        """
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        if self._client.status != "running":
            raise self.lost()
        cores = [worker["resources"].get("cores", 0) for worker in workers]
        threads = [worker["nthreads"] for worker in workers]
        places = sum(
            min(count, int(of_worker // self._cluster.cores))
            for count, of_worker in zip(threads, cores, strict=True)
        )
        if places:
            self._last_worker = time.monotonic()
        elif time.monotonic() - self._last_worker > self._cluster.patience:
            raise self._no_worker(cores)
        return places

    def await_workers(self) -> None:
        """Wait until there is a worker.

        Raises:
            UserError: there is none for too long.
        """
        while not self.places():
            time.sleep(0.2)

    def submit(self, run: Run) -> Future[Returned]:
        """Train a run on a worker; the result is its files, or their SHA-256 if the folder is shared."""
        name = run.path.name
        future: Future[Returned] = self._executor.submit(
            train_task, self._study, run.norm, run.seed, name, key=f"{name}-{self._session}"
        )
        return future

    def collect(self, run: Run, result: Returned) -> float:
        """Write the files of a run to its directory, or check those in the shared one; return its seconds.

        Raises:
            CheckError: a file is missing or damaged.
            UserError: it is another run, or a file can't be written.
        """
        settings = {
            "norm": run.norm,
            "seed": run.seed,
            "recipe": dataclasses.asdict(self._study.training.recipe.for_norm(run.norm)),
            "data": {"sha256": self._study.environment[DATA]},
        }
        if self._study.shared is None:
            place_run(result, run.path, settings)
        else:
            check_shared_run(result, run.path, settings)
        return result.seconds

    def stop(self) -> None:
        """Cancel all tasks, and wait until the workers have stopped their trainings."""
        if self._client.status != "running":
            return  # the workers have lost the scheduler, too, and stop by themselves
        deadline = time.monotonic() + STOP_SECONDS
        with contextlib.suppress(OSError, CancelledError, distributed.TimeoutError):
            self._executor.shutdown(wait=False)
            while time.monotonic() < deadline and any(
                self._client.run(is_busy, self._session, on_error="ignore").values()
            ):
                time.sleep(0.1)

    def lost(self) -> UserError:
        """Return the error of a scheduler that has gone."""
        return UserError(
            f"scheduler {self._cluster.address}: expected a connection until the study ends, got none any more; start "
            "the scheduler and its workers again, and run the same command again to continue"
        )

    def _no_worker(self, cores: Sequence[float]) -> UserError:
        wanted = self._cluster.cores
        got = f"{len(cores)} with {max(cores):g} cores at most" if cores else "none"
        return UserError(
            f"scheduler {self._cluster.address}: expected a worker with the resource cores={wanted} or more within "
            f"{self._cluster.patience:g} s, got {got}; start one with 'dask worker {self._cluster.address} --nthreads "
            f"N --resources cores=N', or wait longer with --worker-timeout"
        )


@contextlib.contextmanager
def _connect(address: str) -> Iterator[Client]:
    for name in ("distributed", *logging.root.manager.loggerDict):
        if name.split(".")[0] == "distributed":  # errors become one line here
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions are compared here
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, distributed.TimeoutError) as error:
        raise UserError(
            f"scheduler: expected the address of a running Dask scheduler, such as tcp://HOST:8786, got {address}: "
            f"{error}; start one with 'dask scheduler', or correct --scheduler"
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=5)


@contextlib.contextmanager
def _shared_file(folder: Path) -> Iterator[Path]:
    """Make a file in the folder of the run directories, by which a worker sees that it has the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=".shared-", dir=folder.absolute()) as file:
        yield Path(file.name)


def _check_machines(client: Client, study: Study, scheduler: str) -> None:
    """Check that the scheduler and the workers can read what they are sent, and that the workers are as they should."""
    try:
        client.run_on_scheduler(type, study)
    except Exception as error:  # whatever reading them raises there
        raise _no_kerasnorm(scheduler, error) from None
    for address, answer in client.run(check_worker, study, on_error="return").items():
        if isinstance(answer, UserError):
            raise answer from None
        if isinstance(answer, Exception):
            raise _no_kerasnorm(f"worker {address}", answer) from None


def _no_kerasnorm(where: str, error: Exception) -> UserError:
    return UserError(
        f"{where}: expected kerasnorm {kerasnorm.__version__}, got {type(error).__name__}: {error}; install the same "
        "packages there"
    )


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def _dashboard(client: Client) -> str:
    try:
        return client.dashboard_link or "none"
    except KeyError:  # the scheduler was started without one
        return "none"
