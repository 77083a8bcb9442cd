"""Graphs of common designs against Keras' own export: conversion, latency; recorded in results/bench/designs.json.

usage: python -m benchmarks.design_speed [DESIGN ...]    (default: all of benchmarks/designs.py)

Each design is measured in a process of its own, and exported by Keras in another one, which may fail and take much
memory. Both graphs take turns, with the same threads, at batches of 1 and 32. The ratio is the median of the ratios of
five measurements. Run nothing else at the same time.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from export.command import import_tensorflow_quietly, run
from export.errors import UserError
from export.files import write_json
from export.runtime import open_session
from export.timing import time_calls

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results/bench/designs.json"
BATCHES = (1, 32)
REPEATS, SECONDS, TURN = 5, 1.0, 0.2


def build(name: str) -> Any:
    """Build a design with random weights, biases and statistics too."""
    import keras

    from benchmarks.designs import DESIGNS

    keras.utils.set_random_seed(0)
    model = DESIGNS[name].build()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif weight.name in ("beta", "bias", "moving_mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


def inputs(name: str, batch: int) -> np.ndarray:
    """Random inputs of a design."""
    from benchmarks.designs import DESIGNS

    design, rng = DESIGNS[name], np.random.default_rng(1)
    if not design.ids:
        return rng.uniform(0, 1, (batch, *design.shape)).astype(np.float32)
    lengths = rng.integers(design.shape[0] // 2, design.shape[0] + 1, (batch, 1))
    ids = rng.integers(1, design.ids, (batch, *design.shape))
    return np.where(np.arange(design.shape[0]) < lengths, ids, 0).astype(np.int32)  # padded with 0


def measure(name: str) -> dict[str, Any]:
    """Everything that is recorded of one design."""
    import_tensorflow_quietly()
    from export.convert import convert, count_nodes
    from export.parity import check_parity

    model = build(name)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        conversion = convert(model)
        seconds.append(time.perf_counter() - start)
    parity = check_parity(model, conversion)
    nodes = count_nodes(conversion.model)
    row: dict[str, Any] = {
        "route": conversion.route,
        "passed": parity.passed,
        "nodes": sum(nodes.values()),
        "conversion_s": round(statistics.median(seconds), 3),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keras.onnx"
        command = [sys.executable, "-m", "benchmarks.design_speed", "--keras", name, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        try:
            if done.returncode:
                raise RuntimeError((done.stderr.strip().splitlines() or ["killed"])[-1])
            theirs = open_session(path)
            row["keras"] = {
                "conversion_s": json.loads(done.stdout.splitlines()[-1]),
                "nodes": nodes_of(path),
            }
        except Exception as error:
            row["keras"] = {"error": " ".join(str(error).replace(str(path), "its file").split())[:200]}
            theirs = None
        sessions = {"ours": open_session(conversion.model.SerializeToString())}
        if theirs is not None:
            sessions["keras"] = theirs
        row["speed"] = {str(batch): timed(sessions, inputs(name, batch)) for batch in BATCHES}
    return row


def nodes_of(path: Path) -> int:
    """How many nodes an ONNX file has, within Loops too."""
    import onnx

    def count(graph: onnx.GraphProto) -> int:
        bodies = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
        return len(graph.node) + sum(map(count, bodies))

    return count(onnx.load(path).graph)


def export_by_keras(name: str, path: str) -> None:
    """Write Keras' own export, and print how many seconds it took."""
    import_tensorflow_quietly()
    model = build(name)
    model(inputs(name, 1))  # Keras exports no model that was never called
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        model.export(path, format="onnx", verbose=False)
    print(round(time.perf_counter() - start, 3))


def timed(sessions: dict[str, Any], x: np.ndarray) -> dict[str, float]:
    """Median times of REPEATS measurements in milliseconds; the ratio is the median of their ratios."""
    medians = []
    calls = {
        key: partial(session.run, None, {session.get_inputs()[0].name: x})
        for key, session in sessions.items()
    }
    for _ in range(REPEATS):
        times = time_calls(calls, SECONDS, TURN)
        medians.append({key: statistics.median(values) for key, values in times.items()})
    result = {f"{key}_ms": round(statistics.median(one[key] for one in medians), 4) for key in sessions}
    if "keras" in sessions:
        result["ratio"] = round(statistics.median(one["keras"] / one["ours"] for one in medians), 3)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the named designs, or all, and add each to the record when it is done."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["--one"]:
        print(json.dumps(measure(arguments[1])))
        return 0
    if arguments[:1] == ["--keras"]:
        export_by_keras(arguments[1], arguments[2])
        return 0
    from benchmarks.designs import DESIGNS

    unknown = next((name for name in arguments if name not in DESIGNS), None)
    if unknown is not None:
        raise UserError(f"design: expected one of {', '.join(DESIGNS)}, got {unknown!r}")
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {"designs": {}}
    for name in arguments or DESIGNS:
        command = [sys.executable, "-m", "benchmarks.design_speed", "--one", name]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            print(f"{name}: exit code {done.returncode}: {done.stderr.strip()[-300:]}", file=sys.stderr)
            return 1
        record["designs"][name] = json.loads(done.stdout.splitlines()[-1])
        print(name, record["designs"][name], flush=True)
        record["designs"] = {
            known: record["designs"][known] for known in DESIGNS if known in record["designs"]
        }
        write_json(RECORD, record)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
