"""Time an exported model.

    python -m export.bench MODEL.onnx [--against MODEL.keras]

Everything that is compared takes turns within one run, so that a machine that is slow for a while is slow for
all. A turn is a few calls that are not counted, then some that are: a rival's threads go on spinning for a
while after its turn, and its data lie in the caches. A ratio is that of two medians.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from export.command import Parser, import_tensorflow_quietly, run
from export.errors import UserError
from export.files import write_json
from export.runtime import open_session

Call = Callable[[], object]


TURN = 0.02  # seconds of counted calls in a turn


def time_calls(calls: dict[str, Call], seconds: float, turn: float = TURN) -> dict[str, list[float]]:
    """Times of each call in milliseconds, the calls taking turns of `turn` seconds for about `seconds` in all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop or min(len(values) for values in times.values()) < 20:
        for name, call in calls.items():
            begin = time.perf_counter()
            while time.perf_counter() - begin < turn / 4:
                call()
            begin = start = time.perf_counter()
            while start - begin < turn:
                call()
                end = time.perf_counter()
                times[name].append(1e3 * (end - start))
                start = end
    return times


def summarize(times: Sequence[float], batch: int) -> dict[str, float]:
    """Median, spread (5 % to 95 %) and images per second."""
    low, median, high = (float(np.percentile(times, share)) for share in (5, 50, 95))
    return {
        "median_ms": median,
        "p05_ms": low,
        "p95_ms": high,
        "images_per_second": 1e3 * batch / median,
        "calls": len(times),
    }


def _onnx_call(session: onnxruntime.InferenceSession, batch: int) -> Call | None:
    """A call with random inputs; None if the model has another fixed batch size."""
    rng = np.random.default_rng(0)
    feeds = {}
    for value in session.get_inputs():
        if isinstance(value.shape[0], int) and value.shape[0] != batch:
            return None
        shape = [batch, *(size if isinstance(size, int) else 32 for size in value.shape[1:])]
        kind = {"tensor(uint8)": np.uint8, "tensor(int32)": np.int32, "tensor(int64)": np.int64}.get(
            value.type
        )
        high = 2 if kind in (np.int32, np.int64) else 256
        feeds[value.name] = rng.integers(0, high, shape).astype(kind or np.float32)
    return lambda: session.run(None, feeds)


def bench(
    model: str | Path,
    against: str | Path | None = None,
    *,
    batches: Sequence[int] = (1, 32),
    threads: Sequence[int] = (0,),
    seconds: float = 2.0,
) -> list[dict[str, Any]]:
    """Time a model, and what it is to be compared with, over batch sizes and numbers of threads.

    Args:
        model: the ONNX file.
        against: the Keras model that it was made from: Keras' own export of it, the tf2onnx route and a
            tf.function of it are timed too.
        batches: batch sizes.
        threads: threads of one call; 0: as many as cores.
        seconds: time for each pair of batch size and threads.

    Returns:
        A row for each contestant, batch size and number of threads.

    Raises:
        UserError: a file can't be used.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        rivals = _rivals(Path(against), Path(folder)) if against else {}
        for count in threads:
            sessions = {"kerasnorm": open_session(model, threads=count)}
            for name, rival in rivals.items():
                if isinstance(rival, Path):
                    sessions[name] = open_session(rival, threads=count)
            for batch in batches:
                calls = {}
                for name, session in sessions.items():
                    call = _onnx_call(session, batch)
                    if call is not None:
                        calls[name] = call
                if "kerasnorm" not in calls:
                    raise UserError(
                        f"{model}: expected a model that takes batches of {batch}; its batch is fixed"
                    )
                if count == 0:
                    calls.update({n: rival(batch) for n, rival in rivals.items() if callable(rival)})
                times = time_calls(calls, seconds)
                ours = float(np.median(times["kerasnorm"]))
                for name, values in times.items():
                    summary = summarize(values, batch)
                    ratio = summary["median_ms"] / ours
                    rows.append({"name": name, "batch": batch, "threads": count, **summary, "ratio": ratio})
    return rows


def _rivals(path: Path, folder: Path) -> dict[str, Any]:
    """Keras' own export and the tf2onnx route as files, tf.function as a maker of calls; those that work."""
    import_tensorflow_quietly()
    import tensorflow as tf

    from export.convert import Options, convert
    from export.load import load_model

    keras_model = load_model(path)
    rivals: dict[str, Any] = {}
    shape = [size or 32 for size in keras_model.inputs[0].shape[1:]]
    keras_model(np.zeros((1, *shape), np.float32))  # Keras refuses to export a model that was never called
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about NumPy, from within Keras' exporter
            keras_model.export(folder / "keras.onnx", format="onnx", verbose=False)
        open_session(folder / "keras.onnx")
        rivals["Keras' export"] = folder / "keras.onnx"
    except Exception as error:  # whatever another exporter raises, the others are still compared
        print(f"Keras' own export fails: {' '.join(str(error).split())[:200]}", file=sys.stderr)
    try:
        proto = convert(keras_model, Options(route="tf2onnx")).model
        (folder / "tf2onnx.onnx").write_bytes(proto.SerializeToString())
        rivals["tf2onnx route"] = folder / "tf2onnx.onnx"
    except UserError as error:
        print(f"the tf2onnx route fails: {error}", file=sys.stderr)
    function = tf.function(lambda x: keras_model(x, training=False))

    def tf_call(batch: int) -> Call:
        images = tf.constant(np.random.default_rng(0).integers(0, 256, (batch, *shape)), tf.float32)
        return lambda: function(images).numpy()

    rivals["tf.function"] = tf_call
    return rivals


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a markdown table; 'x ours' is the median over ours."""
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
    """The command line."""
    parser = Parser(prog="python -m export.bench", description="Time an exported model on onnxruntime's CPU.")
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("--against", metavar="MODEL.keras", help="compare with other ways to run this model")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32], metavar="N", help="default: 1 32")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[0], metavar="N", help="default: 0, all cores"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each batch size (default: 2)")
    parser.add_argument("--json", metavar="FILE", help="write the rows to a JSON file too")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, time, print the table."""
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
    """Entry point."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
