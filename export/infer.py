"""Compute the outputs of an exported model.

    python -m export.infer MODEL.onnx FILE...

NumPy and onnxruntime are all it needs, and Pillow for images. The ONNX file says what the model takes. It may come
from a stranger, and so may the other files: what they declare is checked, and their names are escaped where they are
printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from export.classifier import (
    Classifier,
    Prediction,
    are_probabilities,
    best_classes,
    has_classes,
)
from export.command import Parser, run
from export.errors import UserError
from export.image_input import ImageInput
from export.infer_inputs import Reader
from export.infer_metadata import read_class_names
from export.infer_output import (
    ENDINGS,
    Outputs,
    joined,
    nan_notes,
    prediction_json,
    prediction_text,
    row_jsons,
    row_texts,
    write_outputs,
)
from export.served_model import BATCH, ServedModel
from export.terminal import escape

__all__ = ["Classifier", "Prediction", "ServedModel", "are_probabilities", "cli", "main"]

DESCRIPTION = """\
Compute the outputs of an exported model, on the CPU.

The ending of a file says what it holds:
  .png .jpg ...   an image; a folder is read for all of its images
  .npz .npy       arrays, by the names of the inputs; a single input takes an array of any name
  .csv            a table; its first line names the columns, by the names of the inputs
  .txt            texts, a line each; - reads them from standard input
"""
EPILOG = """\
examples:
  python -m export.infer digits.onnx photo.png folder/ --top 3
  python -m export.infer prices.onnx houses.csv -o prices.csv
  echo "what a film" | python -m export.infer reviews.onnx -
"""


def parser() -> argparse.ArgumentParser:
    """The options of `python -m export.infer`."""
    parser = Parser(
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL.onnx", help="a model that python -m export wrote")
    parser.add_argument("files", nargs="+", metavar="FILE", help="images, folders, arrays, tables or texts")
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="write the outputs of all rows to a .npz or .csv file instead"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object for each row")
    parser.add_argument(
        "--top", type=int, default=1, metavar="K", help="show the K most probable classes (default: 1)"
    )
    parser.add_argument(
        "--columns", metavar="A,B,...", help="the columns of a table, in the order of the inputs"
    )
    parser.add_argument(
        "--invert",
        action="store_true",
        help="invert the pixels: dark ink on light paper, for a model trained on light ink on dark",
    )
    parser.add_argument(
        "--values",
        action="store_true",
        help="the arrays for a model of images hold what it takes, not pixels 0..255",
    )
    parser.add_argument(
        "--batch", type=int, default=BATCH, metavar="N", help=f"rows of one call (default: {BATCH})"
    )
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="threads of one call (default: 0, all cores)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, compute the outputs and print or write them."""
    arguments = parser().parse_args(argv)
    for name, least in (("top", 1), ("threads", 0), ("batch", 1)):
        if getattr(arguments, name) < least:
            raise UserError(f"{name}: expected {least} or more, got {getattr(arguments, name)}")
    path = Path(arguments.output) if arguments.output else None
    if path is not None and (path.suffix.lower() not in ENDINGS or not path.parent.is_dir() or path.is_dir()):
        raise UserError(
            f"{path}: expected a {' or '.join(ENDINGS)} file in an existing folder; choose another with -o"
        )
    model = ServedModel(arguments.model, arguments.threads)
    images = ImageInput.of(model)
    class_names = _class_names(model)
    columns = arguments.columns.split(",") if arguments.columns else ()
    reader = Reader(model, images, arguments.invert, arguments.values, columns)
    on_paper: list[str] = []
    names: list[str] = []
    parts: list[Outputs] = []
    for rows in reader.read(arguments.files):
        outputs = model.predict(rows.inputs, arguments.batch, rows.source)
        for note in [*rows.notes, *nan_notes(rows.names, outputs)]:
            print(escape(note), file=sys.stderr)
        on_paper += rows.on_paper
        if path is not None:
            names += rows.names
            parts.append(outputs)
            continue
        for line in _lines(model, images, class_names, rows.names, outputs, arguments.top, arguments.json):
            print(line)
    if path is not None:
        write_outputs(path, names, joined(path, parts))
        print(escape(f"{path}: {len(names):,} rows of {', '.join(value.name for value in model.outputs)}"))
    if on_paper:
        others = f" and {len(on_paper) - 1:,} more look" if on_paper[1:] else " looks"
        print(
            f"hint: {escape(on_paper[0])}{others} like dark ink on light paper; most models of small grey images are "
            "trained on light ink on a dark background; if this one is, use --invert",
            file=sys.stderr,
        )
    return 0


def _class_names(model: ServedModel) -> tuple[str, ...] | None:
    """The names of the classes, if the model has one output that may be one of classes."""
    if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
        return None
    return read_class_names(model.path, model.metadata, model.outputs[0].shape[1])


def _lines(
    model: ServedModel,
    images: ImageInput | None,
    class_names: Sequence[str] | None,
    names: Sequence[str],
    outputs: Outputs,
    top: int,
    as_json: bool,
) -> list[str]:
    """What is printed of some rows: their classes, if the output is one of classes, otherwise its values."""
    values = outputs[model.outputs[0].name]
    has_rows = len(outputs) == 1 and values.shape[:1] == (len(names),)
    may_be_classes = has_rows and has_classes(values.shape, values.dtype) and values.shape[1] > 1
    if may_be_classes and (images is not None or class_names is not None or are_probabilities(values)):
        predictions = best_classes(values, names, class_names, top)
        return [prediction_json(one) if as_json else prediction_text(one) for one in predictions]
    return row_jsons(names, outputs) if as_json else row_texts(names, outputs)


def cli() -> int:
    """Entry point of the console script."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
