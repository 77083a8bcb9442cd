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
    names = ", ".join(norm.name for norm in NORMS.values())
    parser = Parser(
        description=f"Write a worked example of the normalizations as an Excel workbook: {names}.",
    )
    parser.add_argument("out", metavar="OUT.xlsx")
    for field in dataclasses.fields(Example):
        parser.add_argument(
            f"--{field.name}", type=int, default=field.default, metavar="N", help=f"default: {field.default}"
        )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file."""
    arguments = parser().parse_args(argv)
    out = Path(arguments.out)
    if out.suffix != ".xlsx":
        raise UserError(f"{out}: expected a name ending in .xlsx")
    example = Example(arguments.images, arguments.channels, arguments.groups, arguments.seed)
    write_whole(out, make_workbook(example).save)
    print(
        f"{out}: {example.images} images, {example.channels} channels, {example.groups} groups, seed {example.seed}"
    )
    return 0


def cli() -> int:
    """Entry point of the command."""
    return run(main)
