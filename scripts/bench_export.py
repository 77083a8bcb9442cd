"""Measure the exported MNIST models and write results/bench/export.json, from which scripts/tables.py makes its tables.

usage: KERASNORM_DATA=FOLDER python scripts/bench_export.py

Needs MNIST, and the runs of the README's training table in runs/. Run nothing else at the same time.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from export.bench import bench
from export.command import import_tensorflow_quietly
from export.files import write_json
from export.runtime import open_session

ROOT = Path(__file__).resolve().parent.parent
NORMS = ("bn", "ln", "gn")
REPEATS = 5  # each number is the median of this many complete measurements

KERAS_PREDICTION = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
from PIL import Image
model = keras.models.load_model(sys.argv[1])
image = np.asarray(Image.open(sys.argv[2]).convert("L"))[None, :, :, None]
print(model.predict(image, verbose=0).argmax())
"""


def cold_start(model: Path, onnx: Path, image: Path) -> dict[str, float]:
    """Seconds from the start of a process to a printed prediction, for Keras and export.infer in turn."""
    commands = {
        "keras": [sys.executable, "-c", KERAS_PREDICTION, str(model), str(image)],
        "infer": [sys.executable, "-m", "export.infer", str(onnx), str(image)],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def agreement(model_path: Path, graphs: dict[str, Path], images: np.ndarray) -> dict[str, dict[str, float]]:
    """The largest difference between a probability and Keras', and the number of different classes, on all images."""
    import keras

    model = keras.models.load_model(model_path)
    parts: list[np.ndarray] = [
        images[start : start + 500].astype("float32") for start in range(0, len(images), 500)
    ]
    expected = np.concatenate([np.asarray(model(part, training=False)) for part in parts])
    result = {}
    for name, path in graphs.items():
        session = open_session(path)
        key = session.get_inputs()[0].name
        actual = np.concatenate([session.run(None, {key: part})[0] for part in parts])
        result[name] = {
            "max_abs": float(np.abs(actual - expected).max()),
            "classes_that_differ": int((actual.argmax(1) != expected.argmax(1)).sum()),
        }
    return result


def measure(norm: str, folder: Path) -> dict[str, object]:
    """Everything that is recorded of one model."""
    import keras
    import onnx
    from PIL import Image

    from export.export import export_model
    from kerasnorm import load_data

    data = load_data("mnist")
    path = ROOT / f"runs/{norm}-mnist-documented-seed0/model.keras"
    model = keras.models.load_model(path)
    ours, theirs = folder / f"{norm}.onnx", folder / f"{norm}-keras.onnx"
    export_model(model, ours, data=[data.x_test], source="MNIST test images")
    model(data.x_test[:1].astype("float32"))
    model.export(theirs, format="onnx", verbose=False)
    image = folder / "image.png"
    Image.fromarray(data.x_test[0, ..., 0]).save(image)
    repeats = [bench(ours, path, batches=(1, 32), seconds=3) for _ in range(REPEATS)]
    rows = []
    for index, row in enumerate(repeats[0]):
        same = [repeat[index] for repeat in repeats]
        rows.append(
            {
                "name": row["name"],
                "batch": row["batch"],
                "median_ms": statistics.median(one["median_ms"] for one in same),
                "ratio": statistics.median(one["ratio"] for one in same),
            }
        )
    return {
        "nodes": {"ours": len(onnx.load(ours).graph.node), "keras": len(onnx.load(theirs).graph.node)},
        "bytes": {"ours": ours.stat().st_size, "keras": theirs.stat().st_size},
        "speed": rows,
        "agreement": agreement(path, {"ours": ours, "keras": theirs}, data.x_test),
        "cold_start": cold_start(path, ours, image),
    }


def main() -> int:
    """Measure each model and write the record."""
    import_tensorflow_quietly()
    with tempfile.TemporaryDirectory() as folder:
        record = {norm: measure(norm, Path(folder)) for norm in NORMS}
    target = ROOT / "results/bench/export.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, {"date": time.strftime("%Y-%m-%d"), "repeats": REPEATS, "models": record})
    print(json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
