"""The options of every command that writes a page."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.errors import UserError
from export.web.runtime import VERSION


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """Add `-o` and how the page is written."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="PAGE",
        required=True,
        help="folder to write, or the HTML file of --single-file",
    )
    parser.add_argument(
        "--title", metavar="TEXT", help="title of the page (default: the names of the models)"
    )
    parser.add_argument(
        "--runtime",
        metavar="FOLDER",
        help=f"copy onnxruntime-web {VERSION} from a folder, node_modules/onnxruntime-web/dist, into the page "
        "(default: the page loads it from a public CDN)",
    )
    parser.add_argument(
        "--webgpu",
        action="store_true",
        help="with --runtime, copy the build for WebGPU, too (27 MB), which the check then uses",
    )
    parser.add_argument(
        "--single-file",
        action="store_true",
        help="write one HTML file that opens from disk without a network; needs --runtime",
    )


def check_page_options(arguments: argparse.Namespace) -> None:
    """Check the options before anything is read.

    Raises:
        UserError: they contradict each other.
    """
    for name in ("single_file", "webgpu"):
        if getattr(arguments, name) and not arguments.runtime:
            raise UserError(
                f"{name.replace('_', '-')}: expected --runtime FOLDER with it, got none; npm install "
                f"onnxruntime-web@{VERSION} brings the folder node_modules/onnxruntime-web/dist"
            )
    if arguments.runtime and not Path(arguments.runtime).is_dir():
        raise UserError(
            f"{arguments.runtime}: expected the folder dist of onnxruntime-web, found no such folder"
        )
