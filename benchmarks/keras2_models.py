"""Export what benchmarks/keras2_save.py saved, and compare with Keras 2's outputs; record: results/bench/keras2.json.

usage: python -m benchmarks.keras2_models FOLDER [NAME ...]    (default: all files in FOLDER)

Each file goes through `python -m export --quick`, with --unsafe or --import where the message asks for it. The error is
the largest difference from what Keras 2 computed for the same inputs, divided by the range of that output.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.__main__ import main as export_main
from export.command import import_tensorflow_quietly, run
from export.errors import UserError, one_line
from export.files import write_json
from export.runtime import open_session

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results/bench/keras2.json"
LAYERS = ROOT / "benchmarks/kecam_layers.py"
OPTIONS = {"--unsafe": ["--unsafe"], "--import": ["--import", str(LAYERS)]}


def measure(path: Path) -> dict[str, Any]:
    """Everything that is recorded of one file."""
    options: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model.onnx"
        while True:
            try:
                given = [part for option in options for part in OPTIONS[option]]
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    export_main([str(path), "-o", str(out), "--quick", *given])
                break
            except Exception as error:
                asked = next((one for one in OPTIONS if one in str(error) and one not in options), None)
                if asked is None:
                    reason = str(error).removeprefix(f"{path}: ")
                    return {"options": options, "message": one_line(reason)}
                options.append(asked)
        report = json.loads(out.with_suffix(".parity.json").read_text())
        session = open_session(out)
        with np.load(arrays_of(path)) as file:
            inputs = [file[name] for name in file.files if name.startswith("input")]
            expected = [file[name] for name in file.files if name.startswith("output")]
            keys = [str(key) for key in file["keys"]]
        outputs = session.run(
            None, dict(zip([one.name for one in session.get_inputs()], inputs, strict=True))
        )
    if keys:
        outputs = [outputs[sorted(keys).index(key)] for key in keys]
    errors = [
        float(np.abs(output - one).max() / np.ptp(one)) for output, one in zip(outputs, expected, strict=True)
    ]
    return {
        "options": options,
        "route": report["route"],
        "nodes": sum(report["nodes"].values()),
        "passed": True,
        "error": max(errors),
    }


def arrays_of(path: Path) -> Path:
    """The inputs and outputs of a saved model."""
    name = path.name.removesuffix("-saved") if path.is_dir() else path.stem
    return path.with_name(f"{name}.npz")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the files, and add each to the record when it is done."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or not Path(arguments[0]).is_dir():
        raise UserError(f"folder: expected that of benchmarks/keras2_save.py, got {arguments[:1] or 'none'}")
    import_tensorflow_quietly()
    import keras

    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {"files": {}}
    for path in sorted(Path(arguments[0]).iterdir()):
        is_model = path.suffix in (".h5", ".keras") or path.name.endswith("-saved")
        if not is_model or not all(name in path.name for name in arguments[1:]):
            continue
        record["files"][path.name] = {"keras": versions(path.parent), **measure(path)}
        print(path.name, record["files"][path.name], flush=True)
        record["files"] = dict(sorted(record["files"].items()))
        write_json(RECORD, record)
        keras.backend.clear_session()
        gc.collect()
    return 0


def versions(folder: Path) -> str:
    """The Keras that saved the files of a folder."""
    return (folder / "keras.txt").read_text().strip()


if __name__ == "__main__":
    sys.exit(run(main))
