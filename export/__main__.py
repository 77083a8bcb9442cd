"""python -m export MODEL.keras: a Keras model as an ONNX file, with the proof that it computes the same."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from export.command import Parser, import_tensorflow_quietly, run
from export.errors import CheckError, UserError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="kerasnorm-export",
        description="Write a Keras model as a small ONNX graph that is fast on onnxruntime's CPU provider, and "
        "prove that it computes the same.",
    )
    parser.add_argument("model", metavar="MODEL.keras", help="a Keras model, .keras or .h5")
    parser.add_argument("-o", "--output", metavar="OUT.onnx", help="default: the model's name with .onnx")
    parser.add_argument(
        "--route", choices=("auto", "direct", "tf2onnx"), default="auto", help="default: auto"
    )
    parser.add_argument("--opset", type=int, help="default: 17; 21 with --portable")
    parser.add_argument(
        "--portable", action="store_true", help="standard operators, for runtimes other than onnxruntime"
    )
    parser.add_argument("--input-layout", choices=("nhwc", "nchw"), default="nhwc", help="default: nhwc")
    parser.add_argument("--raw-pixels", action="store_true", help="the graph takes uint8 images")
    parser.add_argument("--batch", type=int, metavar="N", help="fix the batch size (default: open)")
    parser.add_argument(
        "--input-range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="default: 0 255 if the model rescales its input, else 0 1",
    )
    parser.add_argument("--class-names", metavar="A,B,...", help="names of the classes, for inference")
    parser.add_argument("--check-data", metavar="FILE.npz", help="check with these images, not random ones")
    parser.add_argument("--atol", type=float, default=1e-5, help="absolute tolerance (default: 1e-5)")
    parser.add_argument("--rtol", type=float, default=1e-4, help="relative tolerance (default: 1e-4)")
    parser.add_argument("--layerwise", action="store_true", help="compare after every layer; writes no model")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, export, print the proof."""
    arguments = parser().parse_args(argv)
    for name in ("atol", "rtol"):
        if not (math.isfinite(getattr(arguments, name)) and getattr(arguments, name) >= 0):
            raise UserError(f"{name}: expected 0 or more, got {getattr(arguments, name)}")
    if arguments.input_range and not arguments.input_range[0] < arguments.input_range[1]:
        raise UserError("input-range: expected LOW below HIGH, got {} {}".format(*arguments.input_range))
    path = Path(arguments.output) if arguments.output else Path(arguments.model).with_suffix(".onnx")
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(
            f"{path}: expected the name of a file in a folder that is there; name another with -o"
        )
    if not Path(arguments.model).exists():
        raise UserError(f"{arguments.model}: expected a Keras model, found nothing of that name")
    import_tensorflow_quietly()

    from export.convert import Options
    from export.errors import ParityError
    from export.export import check_layerwise, export_model
    from export.load import load_model
    from export.parity import load_check_data, report_path

    options = Options(
        route=arguments.route,
        opset=arguments.opset,
        portable=arguments.portable,
        input_layout=arguments.input_layout,
        raw_pixels=arguments.raw_pixels,
        batch=arguments.batch,
        input_range=tuple(arguments.input_range) if arguments.input_range else None,
        class_names=tuple(arguments.class_names.split(",")) if arguments.class_names else None,
    )
    model = load_model(arguments.model)
    data = load_check_data(arguments.check_data, model) if arguments.check_data else None
    source = arguments.check_data or "seeded random data"
    tolerances = {"atol": arguments.atol, "rtol": arguments.rtol}
    if arguments.layerwise:
        parity, first = check_layerwise(model, options, data=data, source=source, **tolerances)
        print(parity.table())
        if first is not None:
            raise CheckError(f"{model.name}: the first layer that diverges is {first!r}")
        print(f"{model.name}: every layer agrees")
        return 0
    try:
        done = export_model(model, path, options, data=data, source=source, **tolerances)
    except ParityError as error:
        print(error.parity.table())
        raise
    print(done.parity.table())
    conversion = done.conversion
    for line in conversion.folds.refused:
        print(f"not folded: {line}")
    if conversion.route != "direct":
        print(f"route tf2onnx: {conversion.reason}")
    print(
        f"{done.path}: {len(conversion.model.graph.node)} nodes, {done.path.stat().st_size:,} bytes, opset "
        f"{conversion.opset}, route {conversion.route}, largest difference {done.parity.max_abs:.1e}; "
        f"report: {report_path(done.path)}"
    )
    return 0


def cli() -> int:
    """Entry point of the console script."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
