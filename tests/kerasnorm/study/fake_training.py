"""What stands for `kerasnorm.cli.child_train` in tests of the Dask engine: the same files in a second, of no training.

Each process leaves a file NAME.PID in the folder $KERASNORM_TEST_STARTED. It waits while there is a file `hold` in it.

As a preload script of a Dask worker, it makes the worker start itself instead of trainings.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kerasnorm import rundir
from kerasnorm.cli.child_train import end_with_parent
from kerasnorm.cli.config_file import parse_with_config
from kerasnorm.cli.recipe_options import recipe_from
from kerasnorm.cli.train import parser
from kerasnorm.data import load_data
from kerasnorm.history import COLUMNS, HISTORY
from kerasnorm.study import training

if TYPE_CHECKING:
    from distributed import Worker


def dask_setup(worker: Worker) -> None:
    """Make the worker start this script."""
    command = training.training_command
    training.training_command = lambda *settings: [sys.executable, __file__, *command(*settings)[3:]]


def write_run(path: Path, norm: str, seed: int, recipe: object, sha256: str) -> None:
    """Write the files of a complete run, which are the same for the same arguments."""
    config = {"norm": norm, "seed": seed, "recipe": recipe, "data": {"sha256": sha256}}
    (path / rundir.CONFIG).write_text(json.dumps(config))
    (path / HISTORY).write_text("\n".join([",".join(COLUMNS), ",".join(["1"] * len(COLUMNS))]) + "\n")
    (path / rundir.MODEL).write_bytes(f"{norm} {seed}".encode() * 10_000)
    (path / rundir.METRICS).write_text(json.dumps(dict.fromkeys(rundir.SHOWN, 0.9 + seed / 100)))


def main() -> None:
    """Write a run as the options say."""
    arguments, _ = parse_with_config(parser(), None)
    path, started = Path(arguments.out), Path(os.environ["KERASNORM_TEST_STARTED"])
    with rundir.claimed(path):
        (started / f"{path.name}.{os.getpid()}").touch()
        while (started / "hold").exists():
            time.sleep(0.05)
        recipe = dataclasses.asdict(recipe_from(arguments).for_norm(arguments.norm))
        write_run(path, arguments.norm, arguments.seed, recipe, load_data(arguments.data).sha256)


if __name__ == "__main__":
    end_with_parent()
    main()
