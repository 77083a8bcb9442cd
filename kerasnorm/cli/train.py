"""python -m kerasnorm.train: train one model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from export.command import Parser, import_tensorflow_quietly, run
from kerasnorm import rundir
from kerasnorm.cli.interrupts import ctrl_c, stop_between_epochs
from kerasnorm.cli.recipe_options import add_data_options, add_hyperparameters, recipe_from
from kerasnorm.norms import NORMS
from kerasnorm.train import check_arguments, train


def parser() -> argparse.ArgumentParser:
    """Return the parser; its defaults are the recipe's own."""
    parser = Parser(
        prog="kerasnorm-train",
        description="Train the study's CNN with one normalization. Writes a run directory with the model, its "
        "history, plots and metrics.",
    )
    parser.add_argument(
        "--norm",
        required=True,
        choices=NORMS,
        help=", ".join(f"{key}: {norm.name}" for key, norm in NORMS.items()),
    )
    add_data_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default: 0)")
    parser.add_argument("--out", metavar="DIR", help="default: runs/NORM-DATA-RECIPE-seedSEED")
    parser.add_argument("--resume", action="store_true", help="continue the run in that directory")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in that directory")
    parser.add_argument(
        "--no-export", dest="export", action="store_false", help="don't write model.onnx and parity.json"
    )
    parser.add_argument(
        "--cores",
        type=int,
        metavar="N",
        help="CPU cores to use (default: all); on another number of cores, dropout draws other masks",
    )
    add_hyperparameters(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train, and print the result in one line."""
    arguments = parser().parse_args(argv)
    recipe = recipe_from(arguments)
    settings = {name: getattr(arguments, name) for name in ("seed", "held_out", "out", "resume", "overwrite")}
    check_arguments(
        arguments.norm, arguments.data, recipe, **settings
    )  # before the seconds of TensorFlow's start
    try:
        with ctrl_c() as pressed:
            import_tensorflow_quietly()
            path = train(
                arguments.norm,
                arguments.data,
                recipe,
                **settings,
                export=arguments.export,
                cores=arguments.cores,
                callbacks=[stop_between_epochs(pressed)],
            )
    except KeyboardInterrupt as interrupt:
        message = str(interrupt) or "interrupted; to continue, run the same command with --resume"
        raise KeyboardInterrupt(message) from None
    metrics = rundir.read_json(path / rundir.METRICS)
    print(
        f"{path}: test accuracy {100 * metrics['test_accuracy']:.2f} % at the last of {metrics['epochs']} epochs "
        f"(best {100 * metrics['best_test_accuracy']:.2f} % at epoch {metrics['best_epoch']}), "
        f"{metrics['misclassified']} misclassified, {metrics['seconds']:.0f} s"
    )
    return 0


def cli() -> int:
    """Entry point of the console script."""
    return run(main)
