"""The command `kerasnorm`: every command of the project by one name."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import NamedTuple

from export.command import Parser, called_as


class Command(NamedTuple):
    """A command.

    Attributes:
        module: the module with its `cli()`, which reads `sys.argv`; imported when the command is called.
        help: what it does, in a line.
    """

    module: str
    help: str


COMMANDS = {
    "train": Command("kerasnorm.cli.train", "train the network of the study with one normalization"),
    "compare": Command(
        "kerasnorm.cli.compare", "train with several normalizations and seeds, and compare them"
    ),
    "workbook": Command("kerasnorm.cli.workbook", "write a worked example of the normalizations for Excel"),
    "pytorch": Command("kerasnorm.cli.pytorch", "convert a PyTorch checkpoint of the network, or back"),
    "export": Command(
        "export.__main__", "convert a Keras model to ONNX, and check that it computes the same"
    ),
    "infer": Command("export.infer", "compute the outputs of an exported model"),
    "verify": Command("export.verify", "repeat the check of an exported model on this machine"),
    "bench": Command("export.bench", "time an exported model"),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of what is no command: `--help`, `--version` and mistakes."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items())
    name = called_as()
    parser = Parser(
        usage=f"{name} COMMAND ...",
        description=f"Normalizations in Keras 3, and fast ONNX graphs of Keras models.\n\ncommands:\n{commands}",
        epilog=f"{name} COMMAND --help lists the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    return parser


def cli() -> int:
    """Entry point of the console script: call the command that the first argument names."""
    name = next(iter(sys.argv[1:]), "")
    if name not in COMMANDS:
        parser().parse_args(sys.argv[1:2])
    sys.argv = [
        f"{called_as()} {name}",
        *sys.argv[2:],
    ]  # so that the command finds its own name and arguments
    return int(import_module(COMMANDS[name].module).cli())
