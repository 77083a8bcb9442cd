"""python -m export.web MODEL.onnx ... -o page/: a static page that runs exported classifiers in the browser."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from export.command import Parser, run
from export.terminal import escape
from export.web.models import names_of, read_model
from export.web.options import add_page_options, check_page_options
from export.web.page import build_page
from export.web.samples import from_checks, from_files
from export.web.write import write_page


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="kerasnorm-web",
        description="Write a static page on which people draw or drop a picture, and exported classifiers of images "
        "say what it is. The models run in the browser; no picture leaves it.",
    )
    parser.add_argument(
        "models", metavar="MODEL.onnx", nargs="+", help="exported classifiers of images, shown side by side"
    )
    parser.add_argument(
        "--samples",
        metavar="IMAGES",
        help="an image or a folder of images to offer besides those of the checks",
    )
    add_page_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, read the models, write the page."""
    arguments = parser().parse_args(argv)
    check_page_options(arguments)
    paths = [Path(path) for path in arguments.models]
    models = [read_model(path, name) for path, name in zip(paths, names_of(paths), strict=True)]
    samples = from_checks(models)
    if arguments.samples:
        samples = [*from_files(Path(arguments.samples), models[0].images), *samples]
    for path, model in zip(paths, models, strict=True):
        if not model.examples:
            print(escape(f"note: {path}: no check beside it, which the page could repeat"), file=sys.stderr)
    page = build_page(
        models,
        samples,
        title=arguments.title or ", ".join(model.name for model in models),
        runtime_folder=Path(arguments.runtime) if arguments.runtime else None,
        webgpu=arguments.webgpu,
    )
    print(escape(write_page(page, Path(arguments.output), single_file=arguments.single_file)))
    return 0


def cli() -> int:
    """The entry point of the console script."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
