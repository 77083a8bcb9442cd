"""The stages of benchmarks/model_table.py for one model, each in a process of its own, with files in one folder.

`save` writes model.keras and the data, `export` reads it and writes ours.onnx and inputs.npz, `keras` writes
keras.onnx by Keras' own export, `speed` times both graphs. Each prints what it found as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from export.command import import_tensorflow_quietly
from export.custom_code import import_code
from export.errors import KerasnormError, UserError, one_line, reason_of
from export.runtime import open_session
from export.timing import time_calls

BATCHES = (1, 32)
REPEATS, SECONDS, TURN = 5, 0.5, 0.1
SLOW_MS = 40.0  # a graph that takes longer for one row is not timed with 32
Result = dict[str, Any]


def save(build: str, folder: Path) -> Result:
    """Build a model with random weights, biases and statistics too, and save it."""
    import keras

    module, _, function = build.partition(":")
    keras.utils.set_random_seed(0)
    start = time.perf_counter()
    made = import_code(module)[function]()
    model, data = made if isinstance(made, tuple) else (made, None)
    seconds = time.perf_counter() - start
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif weight.name in ("beta", "bias", "moving_mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    model.save(folder / "model.keras")
    if data is not None:
        arrays = [np.asarray(x) for x in keras.tree.flatten(data)]
        write_arrays(folder / "data.npz", {str(index): x for index, x in enumerate(arrays)})
    return {"build_s": round(seconds, 2), "parameters": model.count_params()}


def load(build: str, folder: Path) -> tuple[Any, str]:
    """The saved model, and 'safe' or 'unsafe': whether Keras' safe mode loads it."""
    from export.load import load_model

    classes = import_code(build.partition(":")[0])
    path = folder / "model.keras"
    try:
        return load_model(path, custom_objects=classes), "safe"
    except UserError as error:
        if "Lambda" not in str(error):
            raise
    return load_model(path, custom_objects=classes, unsafe=True), "unsafe"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays for another stage; strings, too."""
    named: dict[str, Any] = {name: x.astype("U") if x.dtype.kind in "OS" else x for name, x in arrays.items()}
    np.savez(path, **named)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays that another stage wrote."""
    with np.load(path, allow_pickle=False) as file:
        return {name: x.astype(object) if x.dtype.kind == "U" else x for name, x in file.items()}


def export(build: str, folder: Path) -> Result:
    """Load the saved model, convert it and check the graph."""
    from export.convert import convert, count_nodes
    from export.parity import check_parity
    from export.parity.memory import peak_memory

    model, loads = load(build, folder)
    result: Result = {"loads": loads, "peak_gib": {"loaded": round((peak_memory() or 0) / 2**30, 2)}}
    start = time.perf_counter()
    try:
        conversion = convert(model)
    except KerasnormError as error:
        return {**result, "error": str(error)}
    result["seconds"] = {"conversion": round(time.perf_counter() - start, 3)}
    result["peak_gib"]["conversion"] = round((peak_memory() or 0) / 2**30, 2)
    nodes = count_nodes(conversion.model)
    result |= {
        "route": conversion.route,
        "reason": conversion.reason,
        "nodes": sum(nodes.values()),
        "transposes": nodes.get("Transpose", 0),
    }
    (folder / "ours.onnx").write_bytes(conversion.model.SerializeToString())
    has_data = (folder / "data.npz").exists()
    data = list(read_arrays(folder / "data.npz").values()) if has_data else None
    try:
        parity = check_parity(model, conversion, data=data)
    except KerasnormError as error:
        return {**result, "passed": False, "error": str(error)}
    regular = [d for d in parity.differences if d.data.startswith("batch")]
    result |= {
        "passed": parity.passed,
        "max_error": max((d.max_abs / d.size for d in regular if d.size), default=0.0),
        "keras_error": max((d.keras_error / d.size for d in regular if d.size), default=0.0),
    }
    if not parity.passed:
        result["error"] = parity.failure()
    result["seconds"]["parity"] = round(parity.seconds, 1)
    result["peak_gib"]["parity"] = round((peak_memory() or 0) / 2**30, 2)
    inputs = max(parity.examples, key=lambda one: next(len(x) for x in one.inputs.values())).inputs
    write_arrays(folder / "inputs.npz", inputs)
    return result


def keras_export(build: str, folder: Path) -> Result:
    """Write Keras' own export."""
    import keras

    model, _ = load(build, folder)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Keras exports no model that was never called.
        model(model.inputs[0] if isinstance(model, keras.Sequential) else model.input)
        start = time.perf_counter()
        model.export(str(folder / "keras.onnx"), format="onnx", verbose=False)
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 1), "nodes": nodes_of(folder / "keras.onnx")}


def nodes_of(path: Path) -> int:
    """How many nodes an ONNX file has, within Loops too."""
    import onnx

    def count(graph: onnx.GraphProto) -> int:
        bodies = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
        return len(graph.node) + sum(map(count, bodies))

    return count(onnx.load(path).graph)


def speed(folder: Path) -> Result:
    """Median times in milliseconds of the graphs by batch, or in `keras` why Keras' graph doesn't run."""
    inputs = read_arrays(folder / "inputs.npz")
    sessions = {"ours": open_session(folder / "ours.onnx")}
    result: Result = {}
    if (folder / "keras.onnx").exists():
        try:
            sessions["keras"] = open_session(folder / "keras.onnx")
            sessions["keras"].run(None, _feed(sessions["keras"], inputs, 1))
        except Exception as error:  # onnxruntime's exceptions have no common base
            sessions.pop("keras", None)
            message = " ".join(str(error).replace(f"{folder}/", "").split())
            # onnxruntime's messages begin with the file and the kind of error.
            reason = message.rsplit("failed:", 1)[-1].removeprefix("This is an invalid model. ")
            result["keras"] = one_line(reason)
    fixed = sessions["ours"].get_inputs()[0].shape[0]
    for batch in [fixed] if isinstance(fixed, int) else BATCHES:
        result[str(batch)] = _timed(sessions, inputs, batch)
        if result[str(batch)]["ours_ms"] > SLOW_MS:
            break
    return result


def _feed(session: Any, inputs: dict[str, np.ndarray], batch: int) -> dict[str, np.ndarray]:
    """The inputs in a batch, under the names that a graph has for them, which has the same order of inputs."""
    names = [x.name for x in session.get_inputs()]
    if len(names) != len(inputs):
        raise ValueError(f"its graph has {len(names)} inputs instead of {len(inputs)}")
    if set(names) != set(inputs):
        inputs = dict(zip(names, inputs.values(), strict=True))
    return {name: np.resize(x, (batch, *x.shape[1:])) for name, x in inputs.items()}


def _timed(sessions: dict[str, Any], inputs: dict[str, np.ndarray], batch: int) -> dict[str, float]:
    calls = {key: partial(one.run, None, _feed(one, inputs, batch)) for key, one in sessions.items()}
    medians = []
    for _ in range(REPEATS):
        times = time_calls(calls, SECONDS, TURN)
        medians.append({key: statistics.median(values) for key, values in times.items()})
    result = {f"{key}_ms": round(statistics.median(one[key] for one in medians), 4) for key in sessions}
    if "keras" in sessions:
        result["ratio"] = round(statistics.median(one["keras"] / one["ours"] for one in medians), 3)
    return result


def main() -> int:
    """Run one stage: STAGE BUILD FOLDER."""
    stage, build, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if stage == "speed":
        print(json.dumps(speed(folder)))
        return 0
    import_tensorflow_quietly()
    stages: dict[str, Callable[[str, Path], Result]] = {
        "save": save,
        "export": export,
        "keras": keras_export,
    }
    try:
        print(json.dumps(stages[stage](build, folder)))
    except KerasnormError as error:
        print(json.dumps({"error": str(error)}))
    except Exception as error:  # what a package or Keras raises; the last line on stderr is the reason
        traceback.print_exc()
        print(f"{type(error).__name__}: {reason_of(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
