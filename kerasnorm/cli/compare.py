"""python -m kerasnorm.compare: the study, norms x seeds."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from export.command import Parser, run
from export.errors import UserError
from export.terminal import escape
from kerasnorm.cli.config_file import add_config_option, parse_with_config, print_notes
from kerasnorm.cli.engine_options import add_engine_options, check_engine, engine_from
from kerasnorm.cli.interrupts import sigterm_as_interrupt
from kerasnorm.cli.recipe_options import (
    add_data_options,
    add_hyperparameters,
    add_tensorboard_option,
    recipe_from,
)
from kerasnorm.lock import check_unlocked, locked
from kerasnorm.norms import NORMS, REFERENCE
from kerasnorm.study.plan import check_data, plan
from kerasnorm.study.report import write_study
from kerasnorm.study.run import train_all
from kerasnorm.study.training import Training
from kerasnorm.train import check_arguments

BUSY = (
    "expected runs that no other study trains, got those of a kerasnorm.compare that is running; wait for it, or name "
    "another folder with --runs"
)


def parser() -> Parser:
    """Return the parser; the hyper-parameters are those of kerasnorm.train."""
    parser = Parser(
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
    parser.add_argument(
        "--baseline",
        choices=NORMS,
        metavar="NORM",
        help="compare each norm with this one alone; of few comparisons more are significant (default: every pair)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    add_config_option(parser)
    add_data_options(parser)
    parser.add_argument(
        "--runs", default="runs", metavar="DIR", help="folder of the run directories (default: runs)"
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder of the results (default: RUNS/compare-DATA-RECIPE)"
    )
    add_tensorboard_option(parser)
    parser.add_argument("--quiet", action="store_true", help="show no progress, only the result and errors")
    add_engine_options(parser)
    add_hyperparameters(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train the missing runs, write the results and print the tables."""
    argv = sys.argv[1:] if argv is None else argv
    arguments, config = parse_with_config(parser(), argv)
    check_engine(arguments)
    if arguments.baseline and arguments.baseline not in arguments.norms:
        raise UserError(
            f"baseline: expected one of the norms, {' '.join(arguments.norms)}, got {arguments.baseline}; add it to "
            "--norms"
        )
    recipe = recipe_from(arguments)
    data = arguments.data
    reproducible = []
    if data == "auto":  # decided once, so that all runs train on the same data
        from kerasnorm.data import load_data

        data = load_data("auto").name
        reproducible = ["--data", data]  # the last one counts
    elif arguments.engine == "dask" and data.endswith(".npz"):
        data = str(Path(data).absolute())  # a worker has another working directory
    folder = Path(arguments.runs)
    name = Path(data).stem + (f"-held-out-{arguments.held_out}" if arguments.held_out else "")
    runs = plan(arguments.norms, arguments.seeds, name, recipe, folder)
    lock = f".compare-{name}-{recipe.name}.lock"  # of the runs that the study trains
    check_unlocked(folder, lock, BUSY)
    for planned in runs:
        if not planned.complete:
            settings = {"seed": planned.seed, "held_out": arguments.held_out, "out": planned.path}
            settings["tensorboard"] = arguments.tensorboard
            check_arguments(planned.norm, data, recipe, **settings, resume=True)
    not_compared = check_data(runs, data, arguments.held_out)
    if config is not None:
        print_notes(config)
    complete = sum(run.complete for run in runs)
    if not_compared:
        _note(not_compared)
    if arguments.tensorboard and complete:
        _note(f"--tensorboard writes nothing for the {complete} runs that are complete already")
    command = shlex.join(["python", "-m", "kerasnorm.compare", *argv, *reproducible])
    out = Path(arguments.out) if arguments.out else folder / f"compare-{name}-{recipe.name}"
    say = _say_nothing if arguments.quiet else _say
    title = f"Normalizations on {name}: recipe {recipe.name}, {_size(recipe.epochs, arguments.seeds)}"
    sha256 = config.data_sha256(arguments.data, arguments.held_out) if config is not None else None
    board = [] if arguments.tensorboard is True else [arguments.tensorboard]
    options = ("--tensorboard", *board) if arguments.tensorboard else ()
    training = Training(recipe, data, arguments.held_out, sha256, options)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, lock, BUSY):
            train_all(runs, engine_from(arguments, training, say), say)
            write_study(runs, arguments.norms, title, out, command, arguments.baseline)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; to continue, run the same command again") from None
    print((out / "table.md").read_text(encoding="utf-8"), end="")
    print(f"{out / 'report.html'}: the same with plots and misclassified images")
    return 0


def _size(epochs: int, seeds: int) -> str:
    return ", ".join(
        f"{count} {what}{'s' if count > 1 else ''}" for count, what in ((epochs, "epoch"), (seeds, "seed"))
    )


def _note(text: str) -> None:
    print(escape(f"note: {text}"), file=sys.stderr)


def _say(line: str) -> None:
    """Print a line at once, also where the output is not a terminal."""
    print(line, flush=True)


def _say_nothing(line: str) -> None:
    """What is said of the progress with --quiet."""


def cli() -> int:
    """Entry point of the console script. After SIGTERM the exit code is 143, as shells report it."""
    with sigterm_as_interrupt() as terminated:
        code = run(main)
    return 128 + signal.SIGTERM if terminated.is_set() else code
