"""python -m kerasnorm.compare: the study, norms x seeds."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path

from export.command import Parser, run
from export.errors import UserError
from kerasnorm.cli.interrupts import sigterm_as_interrupt
from kerasnorm.cli.recipe_options import (
    add_data_options,
    add_hyperparameters,
    hyperparameter_argv,
    recipe_from,
)
from kerasnorm.norms import NORMS, REFERENCE
from kerasnorm.study.plan import plan
from kerasnorm.study.report import write_study
from kerasnorm.study.run import train_all
from kerasnorm.train import check_arguments


def parser() -> argparse.ArgumentParser:
    """Return the parser; the hyper-parameters are those of kerasnorm.train."""
    parser = Parser(
        prog="kerasnorm-compare",
        description="Train norms x seeds and compare them: tables, overlaid curves, misclassified images, report.",
    )
    parser.add_argument(
        "--norms",
        nargs="+",
        default=list(REFERENCE),
        choices=NORMS,
        help=", ".join(f"{key}: {norm.name}" for key, norm in NORMS.items())
        + f" (default: {' '.join(REFERENCE)})",
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    add_data_options(parser)
    parser.add_argument(
        "--runs", default="runs", metavar="DIR", help="folder of the run directories (default: runs)"
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder of the results (default: RUNS/compare-DATA-RECIPE)"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at a time, each on its share of the cores (default: 1)"
    )
    add_hyperparameters(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train the missing runs, write the results and print the tables."""
    arguments = parser().parse_args(argv)
    if arguments.jobs < 1:
        raise UserError(f"jobs: expected 1 or more, got {arguments.jobs}")
    recipe = recipe_from(arguments)
    data = arguments.data
    if data == "auto":  # decided once, so that all runs train on the same data
        from kerasnorm.data import load_data

        data = load_data("auto").name
    folder = Path(arguments.runs)
    name = Path(data).stem + (f"-held-out-{arguments.held_out}" if arguments.held_out else "")
    runs = plan(arguments.norms, arguments.seeds, name, recipe, folder)
    for planned in runs:
        if not planned.complete:
            settings = {"seed": planned.seed, "held_out": arguments.held_out, "out": planned.path}
            check_arguments(planned.norm, data, recipe, **settings, resume=True)
    options = ["--data", data, "--recipe", arguments.recipe, "--held-out", str(arguments.held_out)]
    options += hyperparameter_argv(arguments)
    out = Path(arguments.out) if arguments.out else folder / f"compare-{name}-{recipe.name}"
    title = f"{name}, recipe {recipe.name}, {recipe.epochs} epochs, {arguments.seeds} seeds"
    try:
        train_all(runs, options, arguments.jobs, lambda line: print(line, flush=True))
        write_study(runs, arguments.norms, title, out)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; to continue, run the same command again") from None
    print((out / "table.md").read_text(encoding="utf-8"), end="")
    print(f"{out / 'report.html'}: the same with plots and misclassified images")
    return 0


def cli() -> int:
    """Entry point of the console script. After SIGTERM the exit code is 143, as shells report it."""
    with sigterm_as_interrupt() as terminated:
        code = run(main)
    return 128 + signal.SIGTERM if terminated.is_set() else code
