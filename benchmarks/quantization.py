"""What quantization does to networks trained on MNIST; recorded in results/bench/quantization.json.

usage: KERASNORM_DATA=FOLDER python -m benchmarks.quantization [NETWORK ...]    (default: all)

Each network is trained for an epoch on 20,000 images. It is exported in float32 and quantized by `--quantize int8`, and
Keras quantizes it in each of its modes. All graphs take turns, in one thread; its processor time is measured, so that
other work on the machine matters little. The accuracy is that on 4,000 test images.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from export.command import import_tensorflow_quietly, run
from export.errors import UserError
from export.files import write_json
from export.runtime import open_session, run_session
from export.timing import time_calls

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results/bench/quantization.json"
TRAINED, CALIBRATED, TESTED = 20_000, 512, 4_000
BATCHES, SECONDS = (1, 32), 3.0
MODES = ("int8", "int4", "float8")


def study(norm: str) -> Any:
    """The study's network."""
    from kerasnorm import build_cnn

    return build_cnn(norm)


def wide() -> Any:
    """Three convolutions of 32 to 128 channels."""
    from keras import Input, Sequential, layers

    model = [Input((28, 28, 1)), layers.Rescaling(1 / 255)]
    for channels in (32, 64, 128):
        model += [layers.Conv2D(channels, 3, padding="same", use_bias=False)]
        model += [layers.BatchNormalization(momentum=0.9)]  # an epoch is short
        model += [layers.ReLU(), layers.MaxPool2D()]
    return Sequential([*model, layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")])


def dense() -> Any:
    """Three dense layers of 512 units."""
    from keras import Input, Sequential, layers

    model = [Input((28, 28, 1)), layers.Rescaling(1 / 255), layers.Flatten()]
    model += [layers.Dense(512, activation="relu") for _ in range(3)]
    return Sequential([*model, layers.Dense(10, activation="softmax")])


def transformer() -> Any:
    """A transformer of three blocks on 16 patches."""
    from keras import Input, Model, layers

    image = Input((28, 28, 1))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Reshape((16, 128))(layers.Conv2D(128, 7, strides=7)(x))
    for _ in range(3):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 32)(y, y)])
        y = layers.Dense(256, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(128)(y)])
    return Model(image, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


NETWORKS: dict[str, Callable[[], Any]] = {
    "study's, bn": partial(study, "bn"),
    "study's, ln": partial(study, "ln"),
    "wide convolutions": wide,
    "dense": dense,
    "transformer": transformer,
}


def trained(name: str, data: Any) -> Any:
    """A network after one epoch."""
    import keras

    keras.utils.set_random_seed(0)
    model = NETWORKS[name]()
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    model.fit(data.x_train[:TRAINED], data.y_train[:TRAINED], batch_size=64, epochs=1, verbose=0)
    return model


def graphs(model: Any, images: np.ndarray, folder: Path) -> dict[str, bytes]:
    """The graphs of a network: in float32, quantized by onnxruntime, and quantized by Keras in each mode."""
    import keras

    from export.export import export_model
    from export.quantize import int8_graphs

    done = export_model(model, folder / "float32.onnx", quick=True)
    found = {"float32": done.conversion.model.SerializeToString()}
    calibration = [{done.conversion.inputs[0]: images[i : i + 32]} for i in range(0, CALIBRATED, 32)]
    static, failure = int8_graphs(done.conversion.model, calibration)
    if not static:
        raise UserError(failure)
    found |= {f"--quantize int8, {name}": proto.SerializeToString() for name, proto in static.items()}
    model.save(folder / "model.keras")
    for mode in MODES:
        copy = keras.models.load_model(folder / "model.keras")
        with warnings.catch_warnings():  # of layers that Keras can't quantize
            warnings.simplefilter("ignore")
            copy.quantize(mode)
        quantized = export_model(copy, folder / f"{mode}.onnx", quick=True)
        found[f"Keras' {mode}"] = quantized.conversion.model.SerializeToString()
    return found


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Accuracy, size and time of each graph of a network."""
    from kerasnorm import load_data

    data = load_data("mnist")
    model = trained(name, data)
    images = np.asarray(data.x_test.reshape(-1, 28, 28, 1), np.float32)
    tested, labels = images[-TESTED:], data.y_test[-TESTED:]
    found = graphs(model, images[:CALIBRATED], folder)
    sessions = {graph: open_session(content, threads=1) for graph, content in found.items()}
    result: dict[str, Any] = {}
    for graph, session in sessions.items():
        parts = [
            run_session(session, feed(session, part), graph)[0] for part in np.split(tested, TESTED // 500)
        ]
        accuracy = float(np.mean(np.concatenate(parts).argmax(-1) == labels))
        result[graph] = {"accuracy": accuracy, "bytes": len(found[graph]), "median_ms": {}}
    for batch in BATCHES:
        calls = {
            graph: partial(session.run, None, feed(session, tested[:batch]))
            for graph, session in sessions.items()
        }
        for graph, values in time_calls(calls, SECONDS, clock=time.thread_time).items():
            result[graph]["median_ms"][str(batch)] = statistics.median(values)
    return result


def feed(session: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """Images as the input of a session."""
    return {session.get_inputs()[0].name: images}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the networks and write the record."""
    names = list(sys.argv[1:] if argv is None else argv) or list(NETWORKS)
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        raise UserError(f"expected networks among {', '.join(NETWORKS)}, got {', '.join(unknown)}")
    import_tensorflow_quietly()
    record: dict[str, Any] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            record[name] = measure(name, Path(folder))
        print(name, record[name], flush=True)
    write_json(RECORD, {"date": time.strftime("%Y-%m-%d"), "networks": record})
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
