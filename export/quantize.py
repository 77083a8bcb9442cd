"""`--quantize int8`: static quantization of an exported graph by onnxruntime, kept only where that pays.

Weights and activations become integers, with a QuantizeLinear and a DequantizeLinear around each operator, which
onnxruntime merges into operators of integers. Some rows of the user's data, the calibration rows, show the ranges of
the activations. The other rows decide whether the int8 graph replaces the float32 one:

- it must be faster on this machine, at each batch size that is timed;
- it may lose a point of accuracy, or change 1 % of the classes where there are no labels (`export.quantize_metric`).
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx

from export.conversion import Conversion
from export.errors import UserError, one_line
from export.evidence import Example
from export.metadata import set_metadata
from export.parity import Inputs
from export.parity.data import Source, graph_inputs
from export.quantize_metric import Quality, judge, what_is_lost
from export.runtime import open_session
from export.timing import summarize, time_calls

FEWEST_ROWS = 16  # of the user's data
CALIBRATION_ROWS = 512  # at most; never more than half of the data
BATCH = 32
TIMED_BATCHES = (1, 32)
SECONDS = 1.5  # of timing, for each batch size
# What is quantized: the operators that onnxruntime has in integers and that the time goes to, or all that it has.
CANDIDATES: dict[str, list[str] | None] = {
    "products": ["Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Clip", "Reshape", "Transpose", "Squeeze"],
    "all operators": None,
}


@dataclass(frozen=True)
class Quantized:
    """What came of the quantization.

    Attributes:
        model: the int8 graph if it is to be kept, otherwise None.
        reason: why it is kept or not, in words.
        calibration_rows: rows of data that the ranges are from.
        evaluation_rows: other rows, that the metrics are from.
        before: the metrics of the float32 graph.
        after: the metrics of the int8 graph.
        milliseconds: for each batch size, the median time of a call of the float32 and of the int8 graph.
    """

    model: onnx.ModelProto | None
    reason: str
    calibration_rows: int
    evaluation_rows: int
    before: Quality | None = None
    after: Quality | None = None
    milliseconds: dict[int, tuple[float, float]] | None = None

    def as_json(self) -> dict[str, Any]:
        """A dictionary for the report and the metadata."""
        return {
            "mode": "int8",
            "kept": self.model is not None,
            "reason": self.reason,
            "calibration_rows": self.calibration_rows,
            "evaluation_rows": self.evaluation_rows,
            "float32": None if self.before is None else self.before.as_json(),
            "int8": None if self.after is None else self.after.as_json(),
            "median_ms": {
                str(batch): {"float32": before, "int8": after}
                for batch, (before, after) in (self.milliseconds or {}).items()
            },
        }

    def line(self) -> str:
        """The outcome in one line."""
        which = "int8" if self.model is not None else "float32"
        return f"quantization: the {which} graph is written: {self.reason}"


def check_quantizable(model: keras.Model, data: Inputs | None) -> None:
    """Refuse what can't be quantized, before any work is done.

    Raises:
        UserError: there is no data, or too little, or Keras has quantized the model already.
    """
    if data is None:
        raise UserError(
            "quantize: expected real inputs to calibrate with, got none; give some with --check-data FILE.npz"
        )
    if len(data[0]) < FEWEST_ROWS:
        raise UserError(
            f"quantize: expected {FEWEST_ROWS} rows of data or more, half for calibration and half for evaluation, got "
            f"{len(data[0])}; give more with --check-data"
        )
    done = next((layer for layer in model._flatten_layers() if layer.quantization_mode is not None), None)
    if done is not None:
        raise UserError(
            f"quantize: expected a model in float32, but layer {done.name!r} is quantized to "
            f"{done.quantization_mode} already; export it without --quantize"
        )


def quantize(
    model: keras.Model, conversion: Conversion, data: Inputs, labels: np.ndarray | None = None
) -> Quantized:
    """Quantize a converted model to int8, and decide whether that pays.

    Args:
        model: the Keras model.
        conversion: its conversion, which has passed the parity check.
        data: an array for each input, as Keras has it.
        labels: the true class of each row, or None.

    Raises:
        UserError: the data can't be used.
    """
    check_quantizable(model, data)
    order = np.random.default_rng(0).permutation(len(data[0]))
    count = min(CALIBRATION_ROWS, len(order) // 2)
    parts = [order[:count], order[count:]]
    calibration, evaluation = (_batches(model, conversion, data, rows) for rows in parts)
    calibrated, evaluated = _rows(calibration), _rows(evaluation)
    if labels is not None:
        labels = labels[parts[1]][:evaluated]
    candidates, failure = int8_graphs(conversion.model, calibration)
    if not candidates:
        return Quantized(None, failure, calibrated, evaluated)
    sessions = {
        name: open_session(proto.SerializeToString())
        for name, proto in {"float32": conversion.model, **candidates}.items()
    }
    outputs = {name: [session.run(None, feed) for feed in evaluation] for name, session in sessions.items()}
    joined = {
        name: [
            np.concatenate([np.atleast_1d(array) for array in arrays]) for arrays in zip(*runs, strict=True)
        ]
        for name, runs in outputs.items()
    }
    qualities = {name: judge(values, joined["float32"], labels) for name, values in joined.items()}
    times = _times(sessions, evaluation, conversion.options.batch)
    before = qualities["float32"]
    accurate = [name for name in candidates if what_is_lost(before, qualities[name]) is None]
    name = min(accurate or candidates, key=lambda x: sum(np.log(medians[x]) for medians in times.values()))
    after, lost = qualities[name], what_is_lost(before, qualities[name])
    pairs = {batch: (medians["float32"], medians[name]) for batch, medians in times.items()}
    is_faster = all(new < old for old, new in pairs.values())
    verdict = (
        f"int8 is {'faster' if is_faster else 'not faster here'}"
        if lost is None
        else f"int8 is refused, {lost}"
    )
    reason = f"{verdict}: {after.compared_with(before)} on {evaluated:,} rows; {_speed(pairs)}"
    kept = candidates[name] if is_faster and lost is None else None
    return Quantized(kept, reason, calibrated, evaluated, before, after, pairs)


def examples_of(model: onnx.ModelProto, examples: Sequence[Example]) -> list[Example]:
    """Examples for an int8 graph elsewhere: the outputs are the true ones, and twice its error here is allowed."""
    session = open_session(model.SerializeToString())
    result = []
    for example in examples:
        got = session.run(list(example.outputs), example.inputs)
        allowed = {}
        for (name, true), ours in zip(example.outputs.items(), got, strict=True):
            allowed[name] = (0.0, 0.0)
            if true.dtype.kind == "f":
                allowed[name] = (2 * float(np.max(np.abs(ours - true), initial=0)), 0.0)
        result.append(replace(example, allowances=allowed))
    return result


def _speed(pairs: dict[int, tuple[float, float]]) -> str:
    return ", ".join(
        f"{old:.3g} ms in float32 and {new:.3g} ms in int8 at batch {batch} ({old / new:.2f}x)"
        for batch, (old, new) in pairs.items()
    )


def _rows(feeds: Sequence[dict[str, np.ndarray]]) -> int:
    return sum(len(next(iter(feed.values()))) for feed in feeds)


def _batches(
    model: keras.Model, conversion: Conversion, data: Inputs, rows: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """Some rows of the data as inputs of the graph. Of a fixed batch size, what is left over is dropped."""
    fixed = conversion.options.batch
    source = Source(model, conversion, [array[rows] for array in data])
    size = fixed or BATCH
    starts = range(0, len(rows) - size + 1, size) if fixed else range(0, len(rows), size)
    if not starts:
        raise UserError(
            f"quantize: expected {2 * size} rows of data or more for batches of {size}, got {len(data[0])}; give "
            "more with --check-data"
        )
    return [
        dict(
            zip(
                conversion.inputs,
                graph_inputs(conversion, source.rows(start, min(size, len(rows) - start))),
                strict=True,
            )
        )
        for start in starts
    ]


def int8_graphs(
    model: onnx.ModelProto, calibration: Sequence[dict[str, np.ndarray]]
) -> tuple[dict[str, onnx.ModelProto], str]:
    """The int8 graphs of a float32 graph by what is quantized, calibrated with inputs; or why there is none."""
    found: dict[str, onnx.ModelProto] = {}
    failure = "int8 has no operator that this graph has"
    for name, operators in CANDIDATES.items():
        try:
            proto = _quantized(model, calibration, operators)
            open_session(proto.SerializeToString())
        except Exception as error:  # onnxruntime's quantizer raises anything
            failure = f"onnxruntime can't quantize this graph: {one_line(error, 200)}"
            continue
        if any(node.op_type == "QuantizeLinear" for node in proto.graph.node):
            found[name] = proto
    return found, failure


def _quantized(
    model: onnx.ModelProto, calibration: Sequence[dict[str, np.ndarray]], operators: list[str] | None
) -> onnx.ModelProto:
    """The graph with its weights in 7 bits, whose products saturate on no processor, and its activations in 8."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory() as folder, _quiet():
        before, after = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(model.SerializeToString())
        quantize_static(
            before,
            after,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=operators,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        proto = onnx.load(after)
    proto.producer_name = model.producer_name
    set_metadata(proto, {entry.key: entry.value for entry in model.metadata_props})
    return proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of onnxruntime's quantizer, which ask for steps that this export has taken."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)


def _times(
    sessions: dict[str, Any], feeds: Sequence[dict[str, np.ndarray]], fixed: int | None
) -> dict[int, dict[str, float]]:
    """For each batch size, the median time of a call of each session, in milliseconds."""
    result = {}
    for batch in (fixed,) if fixed else TIMED_BATCHES:
        feed = {name: array[np.arange(batch) % len(array)] for name, array in feeds[0].items()}
        calls = {name: partial(session.run, None, feed) for name, session in sessions.items()}
        times = time_calls(calls, SECONDS)
        result[batch] = {name: summarize(values, batch)["median_ms"] for name, values in times.items()}
    return result
