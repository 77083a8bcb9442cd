"""Export every architecture of keras.applications and record the figures in docs/bench/applications.json.

usage: python scripts/bench_applications.py [MODEL ...]    (default: all; each in a process of its own)

Weights are random, moving statistics, gammas and betas too. The models of TIMED are timed against Keras' own export
of them, where that works; nothing else should run meanwhile.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from export.bench import time_calls
from export.command import import_tensorflow_quietly
from export.files import write_json
from export.runtime import open_session

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs/bench/applications.json"

# One of each architecture is timed; its others have the same layers in other numbers.
TIMED = (
    *("VGG16", "Xception", "ResNet50", "ResNet50V2", "InceptionV3", "InceptionResNetV2"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "DenseNet121", "NASNetMobile"),
    *("EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny"),
)
OTHERS = (
    *("VGG19", "ResNet101", "ResNet152", "ResNet101V2", "ResNet152V2", "DenseNet169", "DenseNet201"),
    *("NASNetLarge", *(f"EfficientNetB{number}" for number in range(1, 8))),
    *(f"EfficientNetV2{size}" for size in ("B1", "B2", "B3", "S", "M", "L")),
    *(f"ConvNeXt{size}" for size in ("Small", "Base", "Large", "XLarge")),
)
ATOL, RTOL = 1e-5, 1e-3
REPEATS, SECONDS = 5, 2.0


def build(name: str, **options: Any) -> Any:
    """An architecture with random weights that keep its activations of one size.

    Random moving statistics would make them grow or vanish from layer to layer, and the probabilities with them
    0 and 1, which any graph reproduces. So they are those of a batch of random images, each changed by some
    20 percent.
    """
    import keras

    model = getattr(keras.applications, name)(weights=None, **options)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name == "gamma":
            weight.assign(np.asarray(weight) * rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "bias"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    if norms:  # small images leave few places of the last layers to take statistics over
        count = 4 if min(size or 224 for size in model.input_shape[1:3]) > 128 else 24
        model(images(model, count, rng), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
        layer.moving_mean.assign(mean + 0.1 * np.sqrt(variance) * rng.normal(size=mean.shape))
        layer.moving_variance.assign(variance * rng.uniform(0.8, 1.25, mean.shape) + 1e-6)
    return model


def images(model: Any, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random images for a model, pixels 0..255."""
    shape = [size or 224 for size in model.input_shape[1:3]]
    return rng.uniform(0, 255, (count, *shape, 3)).astype(np.float32)


def check(model: Any, batches: tuple[int, ...], **options: Any) -> tuple[Any, Any]:
    """Convert by the direct route and compare; the conversion and its parity.

    The tolerance is for probabilities; for features, which have any size, it is relative to the largest.
    """
    from export.convert import Options, convert
    from export.parity import check_parity

    chosen = Options(route="direct", input_range=(0.0, 255.0), **options)
    conversion = convert(model, chosen)
    data = [images(model, max(batches), np.random.default_rng(1))]
    is_classifier = conversion.outputs == ["probabilities"]
    scale = 1.0 if is_classifier else 10 * float(np.abs(np.asarray(model(data[0]))).max())
    parity = check_parity(model, conversion, chosen, atol=scale * ATOL, rtol=RTOL, data=data, batches=batches)
    if not parity.passed:
        print(parity.table(), file=sys.stderr)
    return conversion, parity


def measure(name: str) -> dict[str, Any]:
    """The figures of one architecture."""
    from export.convert import count_nodes

    import_tensorflow_quietly()
    model = build(name)
    conversion, parity = check(model, (1, 4))
    nodes = count_nodes(conversion.model)
    row: dict[str, Any] = {
        "route": conversion.route,
        "nodes": sum(nodes.values()),
        "transposes": nodes.get("Transpose", 0),
        # The images that are constant or of large mean are checked too, but lie far from what the statistics fit.
        "max_abs": max(d.max_abs for d in parity.differences if d.data.startswith("batch")),
        "argmax_agreement": min(
            d.argmax_agreement or 0.0 for d in parity.differences if d.data.startswith("batch")
        ),
        "passed": parity.passed,
        "megabytes": conversion.model.ByteSize() / 1e6,
    }
    if name in TIMED:
        row.update(time_against_keras(model, conversion.model))
    return row


def time_against_keras(model: Any, ours: Any) -> dict[str, Any]:
    """Latency at batch 1 beside Keras' own export, turn by turn."""
    import onnx

    from export.convert import count_nodes

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keras.onnx"
        try:
            with (
                open(os.devnull, "w") as nowhere,
                contextlib.redirect_stdout(nowhere),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                model.export(path, format="onnx", verbose=False)
            theirs = open_session(path)
            if len(theirs.get_inputs()) != len(model.inputs):
                raise ValueError(
                    f"its graph has {len(theirs.get_inputs())} inputs in place of {len(model.inputs)}"
                )
            nodes = count_nodes(onnx.load(path))
        except Exception as error:
            return {"keras": {"error": " ".join(str(error).split())[:200]}, "speed": timed(model, ours, None)}
        speed = timed(model, ours, theirs)
    return {
        "keras": {"nodes": sum(nodes.values()), "transposes": nodes.get("Transpose", 0)},
        "speed": speed,
    }


def timed(model: Any, ours: Any, theirs: Any) -> dict[str, float]:
    """Medians of REPEATS turns; the ratio is the median of the turns' own."""
    image = images(model, 1, np.random.default_rng(2))
    sessions = {"ours": open_session(ours.SerializeToString()), **({"keras": theirs} if theirs else {})}
    feeds = {key: {session.get_inputs()[0].name: image} for key, session in sessions.items()}
    calls: dict[str, Callable[[], object]] = {
        key: partial(session.run, None, feeds[key]) for key, session in sessions.items()
    }
    turns = []
    for _ in range(REPEATS):
        times = time_calls(calls, SECONDS)
        turns.append({key: float(np.median(values)) for key, values in times.items()})
    found = {f"{key}_ms": float(np.median([turn[key] for turn in turns])) for key in sessions}
    if theirs:
        found["ratio"] = float(np.median([turn["keras"] / turn["ours"] for turn in turns]))
    return found


def main() -> int:
    """Measure the models named, or all, each in a process of its own; add each to the record as it comes."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2])))
        return 0
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {"models": {}}
    for name in sys.argv[1:] or (*TIMED, *OTHERS):
        done = subprocess.run(
            [sys.executable, __file__, "--one", name], capture_output=True, text=True, cwd=ROOT
        )
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return 1
        record["models"][name] = json.loads(done.stdout.splitlines()[-1])
        print(name, record["models"][name], flush=True)
        write_json(RECORD, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
