"""Export every architecture of keras.applications and record the results in results/bench/applications.json.

usage: python scripts/bench_applications.py [MODEL ...]    (default: all; each in a process of its own)

All weights are random, and so are moving statistics, gamma and beta. The models in TIMED are timed against Keras' own
export, where that works. Run nothing else at the same time.
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

from export.command import import_tensorflow_quietly
from export.errors import one_line
from export.files import write_json
from export.runtime import open_session
from export.timing import time_calls

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results/bench/applications.json"

# One model of each architecture is timed; the others have the same layers, only more or fewer of them.
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
# A turn is long enough for several calls of the largest models, and for the previous model's threads to come to rest.
REPEATS, SECONDS, TURN = 5, 2.0, 0.4


def build(name: str, **options: Any) -> Any:
    """Build an architecture with random weights that keep the scale of its activations.

    With random moving statistics, activations would grow or vanish from layer to layer until all probabilities are 0
    or 1, which any graph reproduces. So the statistics are those of a batch of images, half of them noise and half of
    them patches of color, each changed by about 20 percent.
    """
    import keras

    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, **options)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name == "gamma":
            weight.assign(np.asarray(weight) * rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "bias"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    # Small images leave the last layers few positions to take statistics over.
    count = 4 if min(size or 224 for size in model.input_shape[1:3]) > 128 else 24
    batch = images(model, count if norms else 1, rng)
    batch[1::2] = (patches(batch[1::2], rng) * 3 + batch[1::2]) / 4
    model(batch, training=bool(norms))
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
        layer.moving_mean.assign(mean + 0.1 * np.sqrt(variance) * rng.normal(size=mean.shape))
        layer.moving_variance.assign(variance * rng.uniform(0.8, 1.25, mean.shape) + 1e-6)
    return model


def images(model: Any, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random images of a model's input size, pixels 0..255."""
    shape = [size or 224 for size in model.input_shape[1:3]]
    return rng.uniform(0, 255, (count, *shape, 3)).astype(np.float32)


def patches(like: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images of 4 x 4 patches, each of one random color."""
    count, height, width, channels = like.shape
    colors = rng.uniform(0, 255, (count, 4, 4, channels))
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    return colors[:, rows][:, :, columns].astype(np.float32)


def check(model: Any, batches: tuple[int, ...], **options: Any) -> tuple[Any, Any]:
    """Convert a model by the direct route and compare it with Keras.

    The tolerance suits probabilities. For features, which have any scale, it is relative to the largest.

    Returns:
        The conversion, and the result of its parity check.
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
    """Everything that is recorded of one architecture."""
    from export.convert import count_nodes

    import_tensorflow_quietly()
    model = build(name)
    conversion, parity = check(model, (1, 2))
    nodes = count_nodes(conversion.model)
    row: dict[str, Any] = {
        "route": conversion.route,
        "nodes": sum(nodes.values()),
        "transposes": nodes.get("Transpose", 0),
        # The constant image and the one of large mean are checked, too, but are far from the moving statistics.
        "max_abs": max(d.max_abs for d in parity.differences if d.data.startswith("batch")),
        "argmax_agreement": min(
            d.argmax_agreement or 0.0 for d in parity.differences if d.data.startswith("batch")
        ),
        "passed": parity.passed,
        "megabytes": conversion.model.ByteSize() / 1e6,
    }
    if name in TIMED:
        size, ours = model.input_shape[1] or 224, conversion.model.SerializeToString()
        del model, conversion
        row.update(time_against_keras(name, size, ours))
    return row


def export_by_keras(name: str, path: str) -> None:
    """Write Keras' own export, in a process of its own: it takes many times the memory of the model."""
    import_tensorflow_quietly()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build(name).export(path, format="onnx", verbose=False)


def time_against_keras(name: str, size: int, ours: bytes) -> dict[str, Any]:
    """Time single images, in turn with Keras' own export."""
    import onnx

    from export.convert import count_nodes

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keras.onnx"
        done = subprocess.run(
            [sys.executable, __file__, "--keras", name, str(path)], capture_output=True, text=True, cwd=ROOT
        )
        try:
            if done.returncode < 0:
                raise MemoryError("killed, because it takes too much memory")
            if done.returncode:
                raise RuntimeError(done.stderr.strip().splitlines()[-1])
            theirs = open_session(path)
            if len(theirs.get_inputs()) != 1:
                raise ValueError(f"its graph has {len(theirs.get_inputs())} inputs instead of 1")
        except Exception as error:
            reason = one_line(str(error).replace(str(path), "its file"), 200)
            return {"keras": {"error": reason}, "speed": timed(size, ours, None)}
        nodes = count_nodes(onnx.load(path))
        return {
            "keras": {"nodes": sum(nodes.values()), "transposes": nodes.get("Transpose", 0)},
            "speed": timed(size, ours, theirs),
        }


def timed(size: int, ours: bytes, theirs: Any) -> dict[str, float]:
    """Median times of REPEATS measurements; the ratio is the median of their ratios."""
    image = np.random.default_rng(2).uniform(0, 255, (1, size, size, 3)).astype(np.float32)
    sessions = {"ours": open_session(ours), **({"keras": theirs} if theirs else {})}
    feeds = {key: {session.get_inputs()[0].name: image} for key, session in sessions.items()}
    calls: dict[str, Callable[[], object]] = {
        key: partial(session.run, None, feeds[key]) for key, session in sessions.items()
    }
    medians = []
    for _ in range(REPEATS):
        times = time_calls(calls, SECONDS, TURN)
        medians.append({key: float(np.median(values)) for key, values in times.items()})
    result = {f"{key}_ms": float(np.median([one[key] for one in medians])) for key in sessions}
    if theirs:
        result["ratio"] = float(np.median([one["keras"] / one["ours"] for one in medians]))
    return result


def main() -> int:
    """Measure the named models, or all, each in a process of its own, and add each to the record when it is done."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2])))
        return 0
    if sys.argv[1:2] == ["--keras"]:
        export_by_keras(sys.argv[2], sys.argv[3])
        return 0
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {"models": {}}
    names = (*TIMED, *OTHERS)
    wanted = sys.argv[1:] or names
    for name in wanted:
        if name not in names:
            print(f"model: expected one of {', '.join(names)}, got {name!r}", file=sys.stderr)
            return 2
    for name in wanted:
        done = subprocess.run(
            [sys.executable, __file__, "--one", name], capture_output=True, text=True, cwd=ROOT
        )
        if done.returncode:
            print(f"{name}: exit code {done.returncode}: {done.stderr.strip()[-300:]}", file=sys.stderr)
            return 1
        record["models"][name] = json.loads(done.stdout.splitlines()[-1])
        print(name, record["models"][name], flush=True)
        record["models"] = {known: record["models"][known] for known in names if known in record["models"]}
        write_json(RECORD, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
