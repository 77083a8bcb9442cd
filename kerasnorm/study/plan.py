"""The plan of a study: its runs, and where they are."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.errors import UserError
from kerasnorm import rundir
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
