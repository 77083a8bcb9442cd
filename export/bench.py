"""Time an exported model.

    python -m export.bench MODEL.onnx [--against MODEL.keras]

With a Keras model, other ways to run that model are timed in the same run: Keras' own export, the tf2onnx route and a
tf.function. How the times are taken is described in `export.timing`.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from export.command import Parser, import_tensorflow_quietly, run
from export.errors import UserError, one_line
from export.files import write_json
from export.limits import check_size
from export.runtime import DTYPES, open_session, run_session
from export.timing import Call, Summary, summarize, time_calls

if TYPE_CHECKING:
    import keras

OURS = "kerasnorm"
DYNAMIC_SIZE = 32  # the size of a dynamic dimension


class Row(Summary):
    """The times of one model at one batch size and number of threads.

    Attributes:
        name: what was timed.
        batch: images in a call.
        threads: threads of one call; 0 for all cores.
        ratio: its median time over that of the exported model.
    """

    name: str
    batch: int
    threads: int
    ratio: float


def bench(
    model: str | Path,
    against: str | Path | None = None,
    *,
    batches: Sequence[int] = (1, 32),
    threads: Sequence[int] = (0,),
    seconds: float = 2.0,
) -> list[Row]:
    """Time a model, and other ways to run it, over batch sizes and numbers of threads.

    Args:
        model: the ONNX file.
        against: the Keras model that it was made from. Keras' own export of it, the tf2onnx route and a tf.function
            are timed, too.
        batches: batch sizes.
        threads: threads of one call; 0 uses all cores. The tf.function is timed only with all cores.
        seconds: time for each pair of batch size and number of threads.

    Returns:
        A row for each way to run the model, batch size and number of threads.

    Raises:
        UserError: a file can't be used, or the model doesn't take a batch size.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        others, makers = _other_ways(Path(against), Path(folder)) if against else ({}, {})
        files = {OURS: Path(model), **others}
        for count in threads:
            sessions = {name: open_session(file, threads=count) for name, file in files.items()}
            for batch in batches:
                calls = {
                    name: _onnx_call(session, batch, files[name])
                    for name, session in sessions.items()
                    if _takes_batch(session, batch)
                }
                if OURS not in calls:
                    raise UserError(
                        f"{model}: expected a model that takes batches of {batch}; its batch is fixed"
                    )
                if count == 0:
                    calls.update({name: make(batch) for name, make in makers.items()})
                rows += _time(calls, batch, count, seconds)
    return rows


def _time(calls: dict[str, Call], batch: int, threads: int, seconds: float) -> list[Row]:
    times = time_calls(calls, seconds)
    ours = float(np.median(times[OURS]))
    rows: list[Row] = []
    for name, values in times.items():
        summary = summarize(values, batch)
        ratio = summary["median_ms"] / ours
        rows.append({"name": name, "batch": batch, "threads": threads, **summary, "ratio": ratio})
    return rows


def _takes_batch(session: onnxruntime.InferenceSession, batch: int) -> bool:
    shapes = [value.shape for value in session.get_inputs()]
    return all(shape and (shape[0] == batch or not isinstance(shape[0], int)) for shape in shapes)


def _onnx_call(session: onnxruntime.InferenceSession, batch: int, path: Path) -> Call:
    """A call with random inputs, which has been made once."""
    feeds: dict[str, np.ndarray] = {}
    for value in session.get_inputs():
        if value.type not in DTYPES:
            raise UserError(f"{path}: expected numbers as input {value.name!r}, got {value.type}")
        dtype, sizes = DTYPES[value.type], _sizes(value.shape[1:])
        check_size(path, f"an image of input {value.name!r}", dtype.itemsize * math.prod(sizes))
        feeds[value.name] = _random_input(batch, sizes, dtype)
    run_session(session, feeds, path)
    return lambda: session.run(None, feeds)


def _sizes(shape: Sequence[object]) -> list[int]:
    return [size if isinstance(size, int) else DYNAMIC_SIZE for size in shape]


def _random_input(batch: int, sizes: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Pixels 0..255; 0 and 1 for signed integers, which may be indices."""
    high = 2 if dtype.kind == "i" else 256
    return np.random.default_rng(0).integers(0, high, (batch, *sizes)).astype(dtype)


def _other_ways(path: Path, folder: Path) -> tuple[dict[str, Path], dict[str, Callable[[int], Call]]]:
    """Other ways to run a Keras model: ONNX files, and functions that make a call for a batch size.

    An exporter that fails is named on stderr and left out.
    """
    import_tensorflow_quietly()

    from export.load import load_model

    model = load_model(path)
    files: dict[str, Path] = {}
    for name, export in {"Keras' export": _export_by_keras, "tf2onnx route": _export_by_tf2onnx}.items():
        file = folder / f"{len(files)}.onnx"
        try:
            export(model, file)
            open_session(file)
            files[name] = file
        except Exception as error:  # whatever an exporter raises, the others are still compared
            reason = one_line(str(error).replace(str(file), "the graph"), 200)
            print(f"{name} fails: {reason}", file=sys.stderr)
    return files, {"tf.function": _tensorflow_calls(model)}


def _keras_inputs(model: keras.Model, batch: int) -> Any:
    """Random inputs, in the structure that the model is called with."""
    arrays = [_random_input(batch, _sizes(value.shape[1:]), np.dtype(value.dtype)) for value in model.inputs]
    return arrays[0] if len(arrays) == 1 else arrays


def _export_by_keras(model: keras.Model, file: Path) -> None:
    model(_keras_inputs(model, 1))  # Keras refuses to export a model that was never called
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about NumPy, from within Keras' exporter
        model.export(file, format="onnx", verbose=False)


def _export_by_tf2onnx(model: keras.Model, file: Path) -> None:
    from export.convert import Options, convert

    file.write_bytes(convert(model, Options(route="tf2onnx")).model.SerializeToString())


def _tensorflow_calls(model: keras.Model) -> Callable[[int], Call]:
    import tensorflow as tf

    function = tf.function(lambda inputs: tf.nest.flatten(model(inputs, training=False)))

    def make(batch: int) -> Call:
        inputs = tf.nest.map_structure(tf.constant, _keras_inputs(model, batch))
        return lambda: [output.numpy() for output in function(inputs)]

    return make


def table(rows: Sequence[Row]) -> str:
    """Format rows as a Markdown table; 'x ours' is the median time over that of the exported model."""
    lines = [
        "| batch | threads | what | median, ms | 5 % .. 95 %, ms | images/s | x ours |",
        "| ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row['batch']} | {row['threads'] or 'all'} | {row['name']} | {row['median_ms']:.3f} "
            f"| {row['p05_ms']:.3f} .. {row['p95_ms']:.3f} | {row['images_per_second']:,.0f} | {row['ratio']:.2f} |"
        )
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The options of `python -m export.bench`."""
    parser = Parser(description="Time an exported model on onnxruntime's CPU.")
    parser.add_argument("model", metavar="MODEL.onnx", help="a model that python -m export wrote")
    parser.add_argument("--against", metavar="MODEL.keras", help="compare with other ways to run this model")
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 32], metavar="N", help="batch sizes (default: 1 32)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        default=[0],
        metavar="N",
        help="threads of one call (default: 0, all cores)",
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each batch size (default: 2)")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to a JSON file")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, time the model and print the table."""
    arguments = parser().parse_args(argv)
    if min(arguments.batches) < 1 or min(arguments.threads) < 0 or not arguments.seconds > 0:
        raise UserError("expected batches of 1 or more, threads of 0 or more and seconds above 0")
    rows = bench(
        arguments.model,
        arguments.against,
        batches=arguments.batches,
        threads=arguments.threads,
        seconds=arguments.seconds,
    )
    print(table(rows))
    if arguments.json:
        write_json(Path(arguments.json), rows)
    return 0


def cli() -> int:
    """Entry point of the command."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
