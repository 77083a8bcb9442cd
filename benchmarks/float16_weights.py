"""Files with float16 weights: size, speed, and how far the outputs move; recorded in results/bench/float16.json.

usage: KERASNORM_DATA=FOLDER python -m benchmarks.float16_weights

The study's networks are trained for one epoch and compared on MNIST's test images, MobileNetV2 has random weights and
statistics. Both files of a model take turns; a ratio is the median of those of five measurements. Run nothing else at
the same time.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from export.command import import_tensorflow_quietly, run
from export.files import write_json
from export.runtime import open_session
from export.timing import time_calls

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results/bench/float16.json"
BATCHES = (1, 32)
REPEATS, SECONDS, TURN = 5, 1.0, 0.1


def mobile_net() -> tuple[Any, list[np.ndarray] | None]:
    """MobileNetV2 with random weights and statistics; random images."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif weight.name in ("beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model, None


def study(norm: str) -> tuple[Any, list[np.ndarray] | None]:
    """The study's network after one epoch; MNIST's test images."""
    from benchmarks.parity_models import trained

    case = trained(norm)
    return case.model, case.data


MODELS: dict[str, Callable[[], tuple[Any, list[np.ndarray] | None]]] = {
    **{f"study's {norm}": partial(study, norm) for norm in ("bn", "ln", "gn")},
    "MobileNetV2": mobile_net,
}


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Export a model with float32 and with float16 weights, and compare the files."""
    from export.convert import Options
    from export.export import export_model

    model, data = MODELS[name]()
    single, half = folder / "float32.onnx", folder / "float16.onnx"
    export_model(model, single, data=data)
    done = export_model(model, half, Options(float16=True), data=data)
    if done.rounding is None:
        raise ValueError(f"{name}: expected rounded weights")
    change = max(done.rounding.changes, key=lambda x: x.move)
    paths = {"float32": single, "float16": half}
    row: dict[str, Any] = {
        "bytes": {key: path.stat().st_size for key, path in paths.items()},
        "move": change.move,
        "flipped": change.flipped,
        "rows": change.rows,
        "load_ms": {
            key: round(statistics.median(map(load_ms, [path] * REPEATS)), 2) for key, path in paths.items()
        },
    }
    sessions = {key: open_session(path) for key, path in paths.items()}
    for batch in BATCHES:
        row[f"batch {batch}"] = timed(sessions, batch)
    return row


def load_ms(path: Path) -> float:
    """Milliseconds to open a file."""
    start = time.perf_counter()
    open_session(path)
    return 1e3 * (time.perf_counter() - start)


def timed(sessions: dict[str, Any], batch: int) -> dict[str, float]:
    """Median times in milliseconds, and the ratio of float32's to float16's."""
    [value] = sessions["float32"].get_inputs()
    x = np.random.default_rng(0).uniform(0, 255, (batch, *value.shape[1:])).astype(np.float32)
    calls = {key: partial(session.run, None, {value.name: x}) for key, session in sessions.items()}
    medians = []
    for _ in range(REPEATS):
        times = time_calls(calls, SECONDS, TURN)
        medians.append({key: statistics.median(values) for key, values in times.items()})
    result = {f"{key}_ms": round(statistics.median(one[key] for one in medians), 4) for key in sessions}
    result["ratio"] = round(statistics.median(one["float32"] / one["float16"] for one in medians), 3)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all models and write the record."""
    import_tensorflow_quietly()
    record: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "models": {}}
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            record["models"][name] = measure(name, Path(folder))
        print(name, record["models"][name], flush=True)
    write_json(RECORD, record)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
