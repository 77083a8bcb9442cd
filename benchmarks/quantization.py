"""What quantization does to networks trained on MNIST; recorded in results/bench/quantization.json.

usage: KERASNORM_DATA=FOLDER taskset -c 0 python -m benchmarks.quantization [NETWORK ...]    (default: all, on one core)

Each network is trained for an epoch on 20,000 images. `--quantize int8` is measured as the export measures it, on 4,000
test images with their labels. Then Keras quantizes the network in each of its modes; the float32 graph and those of the
modes take turns. Run nothing else at the same time.
"""

from __future__ import annotations

import os
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
from export.runtime import open_session
from export.timing import time_calls

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results/bench/quantization.json"
TRAINED, TESTED = 20_000, 4_000
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


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Both kinds of quantization of a network."""
    import keras

    from export.convert import Options
    from export.export import export_model
    from kerasnorm import load_data

    data = load_data("mnist")
    model = trained(name, data)
    images = np.asarray(data.x_test[:TESTED].reshape(-1, 28, 28, 1), np.float32)
    labels = data.y_test[:TESTED]
    path = folder / "float32.onnx"
    static = export_model(model, path, Options(quantize="int8"), data=[images], labels=labels, quick=True)
    if static.quantized is None:
        raise UserError(f"{name}: expected a quantization, got none")
    result: dict[str, Any] = {"static": static.quantized.as_json(), "keras": {}}
    export_model(model, path, quick=True)
    files = {"float32": path}
    model.save(folder / "model.keras")
    for mode in MODES:
        copy = keras.models.load_model(folder / "model.keras")
        with warnings.catch_warnings():  # of layers that Keras can't quantize
            warnings.simplefilter("ignore")
            copy.quantize(mode)
        if not any(layer.quantization_mode for layer in copy._flatten_layers()):
            continue
        files[mode] = folder / f"{mode}.onnx"
        export_model(copy, files[mode], quick=True)
    sessions = {mode: open_session(file) for mode, file in files.items()}
    for mode, session in sessions.items():
        scores = np.concatenate(
            [
                session.run(None, {session.get_inputs()[0].name: images[i : i + 500]})[0]
                for i in range(0, TESTED, 500)
            ]
        )
        accuracy = float(np.mean(scores.argmax(-1) == labels))
        result["keras"][mode] = {"accuracy": accuracy, "bytes": files[mode].stat().st_size, "median_ms": {}}
    for batch in BATCHES:
        calls = {
            mode: partial(session.run, None, {session.get_inputs()[0].name: images[:batch]})
            for mode, session in sessions.items()
        }
        for mode, values in time_calls(calls, SECONDS).items():
            result["keras"][mode]["median_ms"][str(batch)] = statistics.median(values)
    return result


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
        print(f"{name}: {record[name]['static']['reason']}", flush=True)
    about = {"date": time.strftime("%Y-%m-%d"), "cores": len(os.sched_getaffinity(0)), "networks": record}
    write_json(RECORD, about)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
