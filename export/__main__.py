"""python -m export MODEL.keras: convert a Keras model to ONNX, and check that it computes the same values."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.command import Parser, import_keras_quietly, run
from export.errors import CheckError, UserError
from export.layout import LAYOUTS
from export.progress import ProgressLine
from export.targets import TARGETS
from export.terminal import escape


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        description="Convert a Keras model to a small ONNX graph that is fast on onnxruntime's CPU provider, and "
        "check that it computes the same values.",
    )
    parser.add_argument(
        "model", metavar="MODEL.keras", help="a Keras model: a .keras or .h5 file, or a SavedModel of Keras 2"
    )
    parser.add_argument(
        "--config",
        metavar="MODEL.json",
        help="the file that model.to_json() was written to, for a MODEL.weights.h5 with weights alone",
    )
    parser.add_argument(
        "--import",
        dest="code",
        action="append",
        default=[],
        metavar="CODE",
        help="a Python file (my_layers.py) or module with the model's custom classes, or with lowerings; it is run",
    )
    parser.add_argument(
        "--unsafe",
        action="store_true",
        help="run the code of Lambda layers in the file; only for files of your own",
    )
    parser.add_argument("-o", "--output", metavar="OUT.onnx", help="ONNX file to write (default: MODEL.onnx)")
    parser.add_argument(
        "--route",
        choices=("auto", "direct", "tf2onnx"),
        default="auto",
        help="how to convert (default: auto, tf2onnx only for models with unsupported layers)",
    )
    parser.add_argument(
        "--opset",
        type=int,
        help="version of the ONNX operators (default: the target's, or what the layers need)",
    )
    parser.add_argument(
        "--target",
        choices=TARGETS,
        default="onnxruntime",
        help="the runtime that the graph is for (default: onnxruntime)",
    )
    parser.add_argument(
        "--portable",
        action="store_const",
        const="portable",
        dest="target",
        help="the same as --target portable",
    )
    parser.add_argument(
        "--input-layout",
        choices=LAYOUTS,
        default="nhwc",
        help="layout of image inputs (default: nhwc)",
    )
    parser.add_argument(
        "--output-layout",
        choices=LAYOUTS,
        default="nhwc",
        help="layout of image outputs (default: nhwc)",
    )
    parser.add_argument(
        "--input-shape",
        action="append",
        default=[],
        metavar="[NAME=]SIZES[:DTYPE]",
        help="an input of a model that was built without one, such as 28,28,1 or tokens=?:int32 (? for a dynamic "
        "dimension); the batch is left out",
    )
    parser.add_argument("--raw-pixels", action="store_true", help="make the inputs uint8")
    parser.add_argument(
        "--float16", action="store_true", help="write large weights in float16, which halves the file"
    )
    parser.add_argument("--batch", type=int, metavar="N", help="fix the batch size (default: dynamic)")
    parser.add_argument(
        "--input-range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="range of the input values (default: 0 255 if the model rescales its input, otherwise 0 1)",
    )
    parser.add_argument("--class-names", metavar="A,B,...", help="names of the classes, for export.infer")
    parser.add_argument(
        "--check-data", metavar="FILE.npz", help="check parity with this data instead of random numbers"
    )
    parser.add_argument(
        "--quantize",
        choices=("int8",),
        help="quantize to int8 with the data of --check-data, if that is faster on this machine and as accurate",
    )
    parser.add_argument(
        "--quick", action="store_true", help="check parity on fewer and smaller batches, for a first look"
    )
    parser.add_argument(
        "--atol", type=float, help="a stricter absolute tolerance (default: what float32 rounding explains)"
    )
    parser.add_argument("--rtol", type=float, help="a stricter relative tolerance, likewise")
    parser.add_argument(
        "--layerwise", action="store_true", help="compare the output of every layer; write no model"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, export the model and print the parity report."""
    arguments = parser().parse_args(argv)
    for name in ("atol", "rtol"):
        value = getattr(arguments, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UserError(f"{name}: expected 0 or more, got {value}")
    if arguments.input_range and not arguments.input_range[0] < arguments.input_range[1]:
        raise UserError("input-range: expected LOW below HIGH, got {} {}".format(*arguments.input_range))
    if arguments.quantize and not arguments.check_data:
        raise UserError(
            "quantize: expected real inputs to calibrate with, got none; give some with --check-data FILE.npz"
        )
    path = Path(arguments.output) if arguments.output else Path(arguments.model).with_suffix(".onnx")
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"{path}: expected a file name in an existing folder; choose another with -o")
    if not Path(arguments.model).exists():
        raise UserError(f"{arguments.model}: expected a Keras model, found no such file")
    import_keras_quietly()

    from export.convert import Options
    from export.custom_code import import_code
    from export.errors import ParityError
    from export.evidence import evidence_path
    from export.export import check_layerwise, export_model
    from export.interface import parse_inputs, with_inputs
    from export.load import load_model
    from export.parity import load_check_data, load_labels, report_path

    options = Options(
        route=arguments.route,
        opset=arguments.opset,
        target=arguments.target,
        input_layout=arguments.input_layout,
        output_layout=arguments.output_layout,
        raw_pixels=arguments.raw_pixels,
        batch=arguments.batch,
        float16=arguments.float16,
        input_range=tuple(arguments.input_range) if arguments.input_range else None,
        class_names=tuple(arguments.class_names.split(",")) if arguments.class_names else None,
        inputs=parse_inputs(arguments.input_shape),
        quantize=arguments.quantize,
    )
    custom_objects: dict[str, Any] = {}
    for code in arguments.code:
        custom_objects |= import_code(code)
    if arguments.unsafe:
        print(escape(f"warning: --unsafe runs the code in {arguments.model}"), file=sys.stderr)
    model = load_model(
        arguments.model, config=arguments.config, custom_objects=custom_objects, unsafe=arguments.unsafe
    )
    model = with_inputs(model, options.inputs)
    data = load_check_data(arguments.check_data, model) if arguments.check_data else None
    source = arguments.check_data or "seeded random data"
    how: dict[str, Any] = {
        "atol": arguments.atol,
        "rtol": arguments.rtol,
        "data": data,
        "source": source,
        "quick": arguments.quick,
        "progress": ProgressLine("parity check"),
    }
    if arguments.layerwise:
        parity, first = check_layerwise(model, options, **how)
        print(parity.table())
        if first is not None:
            raise CheckError(
                f"{model.name}: expected equal outputs of every layer; {first!r} is the first that differs"
            )
        print(escape(f"{model.name}: the outputs of all layers are equal within the tolerances"))
        return 0
    if arguments.quantize and data is not None:
        how["labels"] = load_labels(arguments.check_data, len(data[0]))
    try:
        done = export_model(model, path, options, check=evidence_path(path), **how)
    except ParityError as error:
        print(error.parity.table())
        raise
    print(done.parity.table())
    if done.rounding is not None:
        print(done.rounding.table())
    conversion = done.conversion
    for line in conversion.folds.refused:
        print(escape(f"not folded: {line}"))
    if conversion.reason:
        print(escape(f"converted by tf2onnx: {conversion.reason}"))
    if done.quantized is not None:
        print(escape(done.quantized.line()))
    size = sum(file.stat().st_size for file in done.files)
    summary = (
        f"{' and '.join(map(str, done.files))}: {len(conversion.proto.graph.node)} nodes, {size:,} bytes, opset "
        f"{conversion.opset}, route {conversion.route}, largest difference {done.parity.max_abs:.1e}; "
        f"report: {report_path(done.path)}, and {evidence_path(done.path).name} for export.verify"
    )
    print(escape(summary))
    return 0


def cli() -> int:
    """The entry point of the console script."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
