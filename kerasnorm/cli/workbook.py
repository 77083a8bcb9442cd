"""python -m kerasnorm.workbook: the worked example as an Excel file."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from export.command import Parser, run
from export.errors import UserError
from export.files import write_whole
from kerasnorm.norms import NORMS
from kerasnorm.workbook import Example, make_workbook


def parser() -> argparse.ArgumentParser:
    """Return the parser; its defaults are the reference's example."""
    names = ", ".join(NORMS[key].name for key in Example.norms)
    parser = Parser(
        description=f"Write a worked example of normalizations as an Excel workbook, by default of {names}.",
    )
    parser.add_argument("out", metavar="OUT.xlsx")
    for field in dataclasses.fields(Example):
        if field.name == "norms":
            continue
        parser.add_argument(
            f"--{field.name}", type=int, default=field.default, metavar="N", help=f"default: {field.default}"
        )
    parser.add_argument(
        "--norms",
        nargs="+",
        default=Example.norms,
        choices=[key for key, norm in NORMS.items() if norm.shared_values is not None],
        help=f"normalizations by a mean and a variance (default: {' '.join(Example.norms)})",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file."""
    arguments = parser().parse_args(argv)
    out = Path(arguments.out)
    if out.suffix != ".xlsx":
        raise UserError(f"{out}: expected a name ending in .xlsx")
    example = Example(
        arguments.images, arguments.channels, arguments.groups, arguments.seed, tuple(arguments.norms)
    )
    write_whole(out, make_workbook(example).save)
    print(
        f"{out}: {example.images} images, {example.channels} channels, {example.groups} groups, seed {example.seed}"
    )
    return 0


def cli() -> int:
    """Entry point of the command."""
    return run(main)
