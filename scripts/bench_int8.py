"""Quantize the exported MNIST models to int8 (static) and write their accuracy and speed to results/bench/int8.json.

usage: KERASNORM_DATA=FOLDER python scripts/bench_int8.py

Needs MNIST, and the runs of the README's training table in runs/. Run nothing else at the same time.
"""

import logging
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from export.command import import_tensorflow_quietly
from export.files import write_json
from export.runtime import open_session
from export.timing import time_calls
from kerasnorm import load_data

ROOT = Path(__file__).resolve().parent.parent
CALIBRATION_IMAGES = 1024


class Images(CalibrationDataReader):
    """The calibration images, in batches of 64."""

    def __init__(self, images: np.ndarray) -> None:
        self.batches = iter([{"image": images[i : i + 64]} for i in range(0, len(images), 64)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch; None after the last."""
        return next(self.batches, None)


def measure(norm: str, folder: Path) -> dict[str, Any]:
    """Test accuracy and median times of the float32 and the int8 graph."""
    import keras

    from export.export import export_model

    data = load_data("mnist")
    model = keras.models.load_model(ROOT / f"runs/{norm}-mnist-documented-seed0/model.keras")
    float32, int8 = folder / "float32.onnx", folder / "int8.onnx"
    export_model(model, float32, data=[data.x_test], source="MNIST test images")
    quantize_static(
        float32,
        int8,
        Images(data.x_train[:CALIBRATION_IMAGES].astype("float32")),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv", "MaxPool", "Gemm"],
    )
    sessions = {"float32": open_session(float32.read_bytes()), "int8": open_session(int8.read_bytes())}
    images: np.ndarray = data.x_test.astype("float32")
    result: dict[str, Any] = {}
    for name, session in sessions.items():
        parts = [session.run(None, {"image": images[i : i + 500]})[0] for i in range(0, len(images), 500)]
        accuracy = float((np.concatenate(parts).argmax(1) == data.y_test).mean())
        result[name] = {"test_accuracy": accuracy, "median_ms": {}}
    for batch in (1, 32, 256):
        feed = {"image": images[:batch]}
        calls = {name: partial(session.run, None, feed) for name, session in sessions.items()}
        times = time_calls(calls, seconds=4)
        for name, values in times.items():
            result[name]["median_ms"][str(batch)] = statistics.median(values)
    return result


def main() -> int:
    """Measure each model and write the record."""
    logging.disable(logging.WARNING)
    import_tensorflow_quietly()
    with tempfile.TemporaryDirectory() as folder:
        record = {norm: measure(norm, Path(folder)) for norm in ("bn", "ln", "gn")}
    write_json(ROOT / "results/bench/int8.json", {"date": time.strftime("%Y-%m-%d"), "models": record})
    return 0


if __name__ == "__main__":
    sys.exit(main())
