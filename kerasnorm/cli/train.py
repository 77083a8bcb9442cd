"""python -m kerasnorm.train: train one model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from export.command import Parser, import_tensorflow_quietly, run
from kerasnorm import rundir
from kerasnorm.cli.config_file import add_config_option, parse_with_config, print_notes
from kerasnorm.cli.interrupts import ctrl_c, stop_between_epochs
from kerasnorm.cli.recipe_options import (
    add_data_options,
    add_hyperparameters,
    add_tensorboard_option,
    recipe_from,
)
from kerasnorm.norms import NORMS
from kerasnorm.train import check_arguments, train


def parser() -> Parser:
    """Return the parser; its defaults are the recipe's own."""
    parser = Parser(
        description="Train the study's CNN with one normalization. Writes a run directory with the model, its "
        "history, plots and metrics.",
    )
    parser.add_argument(
        "--norm",
        choices=NORMS,
        help=", ".join(f"{key}: {norm.name}" for key, norm in NORMS.items())
        + " (required, here or in --config)",
    )
    add_config_option(parser)
    add_data_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default: 0)")
    parser.add_argument("--out", metavar="DIR", help="default: runs/NORM-DATA-RECIPE-seedSEED")
    parser.add_argument("--resume", action="store_true", help="continue the run in that directory")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in that directory")
    parser.add_argument(
        "--no-export", dest="export", action="store_false", help="don't write model.onnx and parity.json"
    )
    add_tensorboard_option(parser)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="show no progress, only the result and errors")
    shown.add_argument("--verbose", action="store_true", help="show Keras' own progress, with all metrics")
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
    arguments, config = parse_with_config(parser(), argv)
    if arguments.norm is None:
        parser().error("the following arguments are required: --norm")
    recipe = recipe_from(arguments)
    names = ("seed", "held_out", "out", "resume", "overwrite", "tensorboard")
    settings = {name: getattr(arguments, name) for name in names}
    # Before the seconds of TensorFlow's start.
    check_arguments(arguments.norm, arguments.data, recipe, **settings)
    sha256 = None
    if config is not None:
        sha256 = config.data_sha256(arguments.data, arguments.held_out)
        print_notes(config)
    try:
        with ctrl_c() as pressed:
            import_tensorflow_quietly()
            path = train(
                arguments.norm,
                arguments.data,
                recipe,
                **settings,
                sha256=sha256,
                export=arguments.export,
                verbose=_verbosity(arguments),
                cores=arguments.cores,
                callbacks=[stop_between_epochs(pressed)],
            )
    except KeyboardInterrupt as interrupt:
        message = str(interrupt) or "interrupted; to continue, run the same command with --resume"
        raise KeyboardInterrupt(message) from None
    metrics = rundir.read_metrics(path)
    print(
        f"{path}: test accuracy {100 * metrics['test_accuracy']:.2f} % at the last of {metrics['epochs']} epochs "
        f"(best {100 * metrics['best_test_accuracy']:.2f} % at epoch {metrics['best_epoch']}), "
        f"{metrics['misclassified']} misclassified, {metrics['seconds']:.0f} s"
    )
    return 0


def _verbosity(arguments: argparse.Namespace) -> int | None:
    """Whose progress is shown, as `train` takes it: none, Keras' own, or ours."""
    if arguments.quiet:
        return 0
    if arguments.verbose:
        return 1 if sys.stdout.isatty() else 2
    return None


def cli() -> int:
    """Entry point of the console script."""
    return run(main)
