"""What the export makes of models that other packages build; recorded in results/bench/packages.json.

usage: python -m benchmarks.package_models [MODEL ...]    (default: all that benchmarks/packages can build)

It needs the packages (pip install keras-hub kimm keras-tcn ...). Each model is built, saved, loaded, exported and
checked in a process of its own, which is forked once the packages are imported. The memory of that process is what
TensorFlow and the packages take, and then what the conversion and the check add.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from export.command import import_tensorflow_quietly, run
from export.errors import KerasnormError, UserError, one_line
from export.files import write_json

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results/bench/packages.json"
PACKAGES = ("keras", "tensorflow", "keras-hub", "kimm", "keras-tcn", "fast-plate-ocr", "vit-keras")
SECONDS = 400
# What `--import` names for a package whose classes don't register themselves with Keras.
IMPORTS = {
    "kimm": "kimm.models",
    "keras-tcn": "tcn",
    "keras-unet-collection": "keras_unet_collection.activations",
    "vit-keras": "vit_keras.layers",
    "fast-plate-ocr": "fast_plate_ocr.train.model.layers",
}


def measure(name: str, build: Callable[[], Any], folder: Path) -> dict[str, Any]:
    """Everything that is recorded of one model. No failure of the export raises here."""
    import keras
    import numpy as np

    from export.convert import convert, count_nodes
    from export.custom_code import import_code
    from export.load import load_model
    from export.parity import check_parity
    from export.parity.memory import peak_memory

    def mib() -> int:
        return round((peak_memory() or 0) / 2**20)

    keras.utils.set_random_seed(0)
    built = build()
    rng = np.random.default_rng(0)
    for weight in built.weights:
        if weight.name in ("gamma", "scale", "moving_variance"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif weight.name in ("beta", "bias", "moving_mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    row: dict[str, Any] = {"parameters": built.count_params()}
    with contextlib.redirect_stdout(None):
        built.save(folder / "model.keras")
    try:
        code = IMPORTS.get(name.partition(":")[0])
        model = load_model(folder / "model.keras", custom_objects=import_code(code) if code else {})
        row["loads"] = True
    except UserError as error:
        model, row["loads"], row["load_error"] = built, False, one_line(str(error).replace(f"{folder}/", ""))
    row["peak_mib"] = {"model": mib()}
    start = time.perf_counter()
    try:
        conversion = convert(model)
        row["conversion_s"] = round(time.perf_counter() - start, 2)
        row["peak_mib"]["conversion"] = mib()
        row |= {"route": conversion.route, "nodes": sum(count_nodes(conversion.model).values())}
        if conversion.reason:
            row["reason"] = conversion.reason[:400]
        parity = check_parity(model, conversion)
    except KerasnormError as error:
        return {**row, "passed": False, "error": str(error)[:400]}
    regular = [d for d in parity.differences if d.data.startswith(("batch", "size")) and d.size]
    row |= {
        "passed": parity.passed,
        "max_error": max((d.max_abs / d.size for d in regular), default=0.0),
        "keras_error": max((d.keras_error / d.size for d in regular), default=0.0),
        "parity_s": round(parity.seconds, 1),
    }
    if not parity.passed:
        row["error"] = parity.failure()
    row["peak_mib"]["parity"] = mib()
    return row


def in_another_process(name: str, build: Callable[[], Any]) -> dict[str, Any]:
    """`measure` in a forked process, which is killed when it takes too long."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        process = os.fork()
        if process == 0:
            code = 1
            try:
                signal.alarm(SECONDS)
                write_json(folder / "row.json", measure(name, build, folder))
                code = 0
            except BaseException as error:  # packages raise anything
                text = one_line(error)
                write_json(folder / "row.json", {"error": f"{type(error).__name__}: {text}"})
            finally:
                os._exit(code)
        _, status = os.waitpid(process, 0)
        if not (folder / "row.json").exists():
            return {"error": f"ends by signal {status & 127}"}
        row: dict[str, Any] = json.loads((folder / "row.json").read_text())
        return row


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the named models, or all, and add each to the record when it is done."""
    import_tensorflow_quietly()
    from benchmarks.packages import installed

    models = installed()
    names = list(sys.argv[1:] if argv is None else argv) or list(models)
    unknown = next((name for name in names if name not in models), None)
    if unknown is not None:
        raise UserError(f"model: expected one of {', '.join(models)}, got {unknown!r}")
    for name in names:
        row = in_another_process(name, models[name])
        record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {"models": {}}
        for package in PACKAGES:
            with contextlib.suppress(PackageNotFoundError):
                record.setdefault("versions", {})[package] = version(package)
        record["models"][name] = row
        record["models"] = {known: record["models"][known] for known in models if known in record["models"]}
        print(name, json.dumps(row), flush=True)
        write_json(RECORD, record)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
