"""Where a study's runs are trained, on the command line: this machine, or a Dask cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from export.errors import UserError
from kerasnorm.study.local_engine import local_engine
from kerasnorm.study.run import Engine
from kerasnorm.study.training import Training

# The options of the Dask engine: none of them means anything to the other.
DASK = ("scheduler", "cores", "shared_runs", "worker_timeout")


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add --jobs, --engine and the options of the Dask engine. One that is not given is None."""
    parser.add_argument(
        "--jobs", type=int, help="runs at a time on this machine, each on its share of the cores (default: 1)"
    )
    parser.add_argument(
        "--engine",
        default="local",
        choices=("local", "dask"),
        help="train on this machine, or on the workers of a Dask cluster (default: local)",
    )
    group = parser.add_argument_group("with --engine dask")
    group.add_argument("--scheduler", metavar="ADDRESS", help="address of the scheduler: tcp://HOST:8786")
    group.add_argument(
        "--cores",
        type=int,
        metavar="N",
        help="cores of each run; workers are started with --resources cores=... (default: 1)",
    )
    group.add_argument(
        "--shared-runs",
        action="store_true",
        default=None,
        help="the folder of --runs is the same on all machines; otherwise the files are sent back",
    )
    group.add_argument(
        "--worker-timeout",
        type=float,
        metavar="SECONDS",
        help="how long to wait while there is no worker (default: 60)",
    )


def check_engine(arguments: argparse.Namespace) -> None:
    """Check the options of the engine.

    Raises:
        UserError: one is out of range, missing, or means nothing to the chosen engine; or Dask is not installed.
    """
    for name in ("jobs", "cores"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f"{name}: expected 1 or more, got {value}")
    if arguments.worker_timeout is not None and not arguments.worker_timeout >= 0:
        raise UserError(f"worker-timeout: expected 0 seconds or more, got {arguments.worker_timeout:g}")
    if arguments.engine == "local":
        for name in DASK:
            if getattr(arguments, name) is not None:
                option = name.replace("_", "-")
                raise UserError(
                    f"{option}: expected --engine dask with it, got --engine local; add --engine dask"
                )
        return
    if arguments.jobs is not None:
        raise UserError(
            "jobs: expected none with --engine dask, where the workers decide how many runs train at a time; leave "
            "it out"
        )
    if arguments.tensorboard and not (arguments.tensorboard is True and arguments.shared_runs):
        raise UserError(
            "tensorboard: expected --shared-runs and no DIR with --engine dask, whose workers write to the run "
            "directories and don't send that back; share the folder of --runs, or leave --tensorboard out"
        )
    if not arguments.scheduler:
        raise UserError(
            "scheduler: expected the address of a Dask scheduler, got none; give --scheduler ADDRESS"
        )
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"engine: expected Dask's package distributed for --engine dask, got {error}; run: pip install "
            "'kerasnorm[distributed]'"
        ) from error


def engine_from(
    arguments: argparse.Namespace, training: Training, say: Callable[[str], None]
) -> AbstractContextManager[Engine[Any]]:
    """Return the context of the engine that was chosen; see `train_all`.

    Args:
        arguments: the parsed options.
        training: what the study trains.
        say: called with a line about the cluster.
    """
    if arguments.engine == "local":
        return local_engine(training, arguments.jobs or 1)
    from kerasnorm.study.dask_engine import Cluster, dask_engine

    given = {name: getattr(arguments, name) for name in DASK if getattr(arguments, name) is not None}
    cluster = Cluster(
        given["scheduler"],
        cores=given.get("cores", Cluster.cores),
        shared=given.get("shared_runs", Cluster.shared),
        patience=given.get("worker_timeout", Cluster.patience),
    )
    return dask_engine(cluster, training, Path(arguments.runs), say)
