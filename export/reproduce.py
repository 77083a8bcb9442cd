"""Make the model of a bug report again, with random weights, to reproduce what the report is about.

    python -m export.reproduce bug.zip -o model.keras
    python -m export model.keras

The custom classes of a model are not in its report; `--import` names their code, or a few lines that stand for it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.bug_report import CONFIG
from export.command import Parser, import_keras_quietly, run
from export.errors import UserError, one_line
from export.files import write_whole

if TYPE_CHECKING:
    import keras


def model_of_report(path: Path, custom_objects: Mapping[str, Any] | None = None) -> keras.Model:
    """Build the model of a report, with random weights, in Keras' safe mode.

    Args:
        path: the report; it may come from a stranger.
        custom_objects: the model's custom classes and functions by name, which a report doesn't have.

    Raises:
        UserError: the file is none, has no configuration, or the configuration can't be built.
    """
    import keras

    from export.hdf5 import read_member
    from export.load import OWN_LAYERS

    text = "{}"
    objects = dict(custom_objects or {})
    try:
        text = read_member(path, CONFIG).decode()
        for name, module in OWN_LAYERS.items():
            if name in text:
                importlib.import_module(module)
        model = keras.saving.deserialize_keras_object(
            json.loads(text), custom_objects=objects, safe_mode=True
        )
    except Exception as error:  # zipfile, json and Keras raise whatever a bad file provokes
        raise UserError(
            f"{path}: expected a bug report with a model that can be built: {_reason(error, text, objects)}"
        ) from error
    if not isinstance(model, keras.Model):
        raise UserError(f"{path}: expected a bug report of a Keras model, got {type(model).__name__}")
    return model


def _reason(error: Exception, config: str, custom_objects: Mapping[str, Any]) -> str:
    from export.custom_code import missing_names

    if "Could not locate" in str(error):
        names = ", ".join(name for name in missing_names(config) if name not in custom_objects)
        needed = one_line(names, 200)
        return f"it needs code that Keras does not have: {needed}; name a Python file with it with --import"
    if "lambda" in str(error).lower():
        return "it has a Lambda layer, whose code is not in the report"
    return " ".join(str(error).split())[-300:] or type(error).__name__


def parser() -> argparse.ArgumentParser:
    """The options of `python -m export.reproduce`."""
    parser = Parser(
        description="Write the model of a bug report, with random weights, to reproduce what it reports."
    )
    parser.add_argument("report", metavar="REPORT.zip", help="what python -m export MODEL --report wrote")
    parser.add_argument("-o", "--output", metavar="OUT.keras", required=True, help="the file to write")
    parser.add_argument(
        "--import",
        dest="code",
        action="append",
        default=[],
        metavar="CODE",
        help="a Python file or module with the model's custom classes; it is run",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Build the model and save it."""
    arguments = parser().parse_args(argv)
    path, out = Path(arguments.report), Path(arguments.output)
    if not path.is_file():
        raise UserError(f"{path}: expected a bug report, found no file of that name")
    if out.suffix != ".keras":
        raise UserError(f"{out}: expected a name ending in .keras")
    import_keras_quietly()
    from export.custom_code import import_code

    custom_objects = {name: x for code in arguments.code for name, x in import_code(code).items()}
    model = model_of_report(path, custom_objects)
    write_whole(out, model.save)
    print(f"{out}: {len(model.layers)} layers with random weights")
    return 0


def cli() -> int:
    """Entry point of the command."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
