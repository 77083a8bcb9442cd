"""The plan of a study: its runs, and where they are."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.errors import UserError
from kerasnorm import rundir
from kerasnorm.data import hold_out, load_data
from kerasnorm.recipes import Recipe


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a study: what is trained, and its run directory."""

    norm: str
    seed: int
    path: Path

    @property
    def complete(self) -> bool:
        """Whether the run is finished."""
        return rundir.is_complete(self.path)

    @property
    def config(self) -> dict[str, Any]:
        """The content of config.json."""
        return rundir.read_json(self.path / rundir.CONFIG)

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return rundir.read_metrics(self.path)


def plan(norms: Sequence[str], seeds: int, name: str, recipe: Recipe, folder: Path) -> list[Run]:
    """Return the runs of a study, seed by seed, so that an interrupted study has every norm.

    Args:
        norms: keys of NORMS, each once.
        seeds: number of seeds, from 0.
        name: name of the data.
        recipe: the recipe of all runs.
        folder: the folder of the run directories.

    Raises:
        UserError: `seeds` is less than 1, a norm is named twice, or a directory holds another run.
    """
    if seeds < 1:
        raise UserError(f"seeds: expected 1 or more, got {seeds}")
    if len(set(norms)) != len(norms):
        raise UserError(f"norms: expected each once, got {' '.join(norms)}")
    runs = [
        Run(norm, seed, rundir.default_path(norm, name, recipe, seed, folder))
        for seed, norm in itertools.product(range(seeds), norms)
    ]
    for run in runs:
        if (run.path / rundir.CONFIG).exists():
            wanted = dataclasses.asdict(recipe.for_norm(run.norm))
            config = {"norm": run.norm, "recipe": wanted, "seed": run.seed}
            rundir.check_same(run.path, config, "name another folder with --runs")
    return runs


def check_data(runs: Sequence[Run], data: str, held_out: int) -> str | None:
    """Check that the complete runs of a plan were trained on this data; training checks the others.

    Args:
        runs: the plan.
        data: a name or a file, as for `load_data`.
        held_out: number of training images that take the place of the test images.

    Returns:
        None, or why they could not be compared, if all runs are complete and the data can't be loaded here.

    Raises:
        UserError: a run was trained on other data, or there is no data for the runs that are left.
    """
    complete = [run for run in runs if run.complete]
    if not complete:
        return None
    try:
        dataset = load_data(data)
        dataset = hold_out(dataset, held_out) if held_out else dataset
    except UserError as error:
        if len(complete) < len(runs):
            raise
        return f"the data of the complete runs was not compared: {error}"
    for run in complete:
        found = {"data": {"sha256": dataset.sha256}}
        rundir.check_same(run.path, found, "name another folder with --runs, or the data of that run")
    return None
