"""python -m kerasnorm.demo: a page that shows what each normalization makes of a drawing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from export.command import Parser, import_keras_quietly, run
from export.errors import UserError
from export.terminal import escape
from export.web.options import add_page_options, check_page_options
from export.web.write import write_page
from kerasnorm.cli.config_file import read_config
from kerasnorm.data import load_data
from kerasnorm.rundir import CONFIG

if TYPE_CHECKING:
    import numpy as np

    from kerasnorm.demo.runs import DemoRun

IMAGES = 10  # of the test images, to check with and to offer


def parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(
        description="Write a static page on which people draw a digit, and see the classes of several runs, and the "
        "activations before and after each normalization. The models run in the browser.",
    )
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", help="run directories of kerasnorm.train, side by side"
    )
    parser.add_argument(
        "--data",
        help="where the sample images come from, as for kerasnorm.train (default: the data of the first run)",
    )
    add_page_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Export the models of the runs, and write the page."""
    arguments = parser().parse_args(argv)
    check_page_options(arguments)
    for path in arguments.runs:  # before the seconds of TensorFlow's start
        if not (Path(path) / CONFIG).is_file():
            raise UserError(f"{path}: expected a run directory of kerasnorm.train, found none with {CONFIG}")
    import_keras_quietly()
    from kerasnorm.demo.page import build_demo
    from kerasnorm.demo.runs import read_run

    runs = [read_run(Path(path)) for path in arguments.runs]
    images = _samples(arguments.data, Path(arguments.runs[0]), runs[0])
    page = build_demo(
        runs,
        images,
        title=arguments.title,
        runtime_folder=Path(arguments.runtime) if arguments.runtime else None,
        webgpu=arguments.webgpu,
    )
    print(escape(write_page(page, Path(arguments.output), single_file=arguments.single_file)))
    return 0


def _samples(data: str | None, path: Path, first: DemoRun) -> np.ndarray | None:
    """Return images to offer: of the data that was asked for, otherwise of those of the first run; None without any."""
    try:
        dataset = load_data(data or read_config(path / CONFIG).options.get("data", "auto"))
    except UserError as error:
        if data is not None:
            raise
        reason = f"the data of {path} can't be loaded ({error})"
    else:
        if (dataset.image_shape, dataset.class_names) == (first.image_shape, first.class_names):
            return dataset.x_test[:IMAGES]
        reason = f"the images of {dataset.name} have another shape or other classes than those of {path}"
    print(escape(f"note: {reason}, so the page has no samples"), file=sys.stderr)
    return None


def cli() -> int:
    """Entry point of the command."""
    return run(main)
