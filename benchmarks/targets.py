"""Run models in the runtimes that graphs are exported for, and record how far each is from Keras in float64.

usage: python benchmarks/targets.py export FOLDER     write a graph and its check for each model and target
       python benchmarks/targets.py openvino FOLDER   run those for OpenVINO, which needs openvino and NumPy alone
       node benchmarks/targets.mjs FOLDER             run those for onnxruntime-web, in a folder that has the package
       python benchmarks/targets.py record FOLDER     write results/bench/targets.json
"""

from __future__ import annotations

import base64
import json
import platform
import re
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from export.command import run
from export.errors import CheckError, UserError, one_line
from export.evidence import evidence_path, read_evidence
from export.files import write_json

RECORD = Path(__file__).resolve().parent.parent / "results/bench/targets.json"
TARGETS = ("onnxruntime-web", "openvino", "tensorrt")
RUN = ("onnxruntime-web", "openvino")  # TensorRT needs a GPU
LARGEST = 1e-4  # error of an output, relative to its root mean square


def export(folder: Path) -> None:
    """Write FOLDER/TARGET/MODEL.onnx with its check, and FOLDER/TARGET/manifest.json with what was refused."""
    from benchmarks.target_models import MODELS, randomize
    from export.convert import Options
    from export.export import export_model

    for target in TARGETS:
        (folder / target).mkdir(parents=True, exist_ok=True)
    entries: dict[str, dict[str, Any]] = {target: {} for target in TARGETS}
    for name, build in MODELS.items():
        model = randomize(build())
        for target in TARGETS:
            path = folder / target / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.onnx"
            options = Options(route="direct", target=target)
            try:
                done = export_model(model, path, options, check=evidence_path(path), quick=True)
                entries[target][name] = {"file": path.name, "opset": done.conversion.opset}
                entries[target][name]["examples"] = _examples(path)
            except (UserError, CheckError) as error:
                entries[target][name] = {"refused": str(error)}
            print(f"{target}: {name}: {entries[target][name].get('refused', 'exported')}", flush=True)
    for target in TARGETS:
        write_json(folder / target / "manifest.json", entries[target])


def _examples(path: Path) -> list[dict[str, Any]]:
    """The inputs and true outputs of a check, for a runtime that can't read it."""
    examples, _ = read_evidence(evidence_path(path))
    return [{"inputs": _encoded(one.inputs), "outputs": _encoded(one.outputs)} for one in examples]


def _encoded(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    encoded = {}
    for name, array in arrays.items():
        if array.dtype.kind in "OUS":
            texts = [x.decode() if isinstance(x, bytes) else str(x) for x in array.ravel()]
            encoded[name] = {"type": "string", "dims": array.shape, "data": texts}
        else:
            data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
            encoded[name] = {"type": array.dtype.name, "dims": array.shape, "data": data}
    return encoded


def run_openvino(folder: Path) -> None:
    """Write FOLDER/openvino/results.json."""
    import openvino

    core = openvino.Core()
    results: dict[str, dict[str, Any]] = {}
    manifest = json.loads((folder / "openvino/manifest.json").read_text())
    for name, entry in manifest.items():
        if "file" not in entry:
            continue
        path = folder / "openvino" / entry["file"]
        try:
            compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            examples, _ = read_evidence(evidence_path(path))
            errors = [
                _error(np.asarray(got), true)
                for one in examples
                for got, true in zip(compiled(one.inputs).values(), one.outputs.values(), strict=True)
            ]
            results[name] = {"error": max(errors)}
        except Exception as error:  # OpenVINO's exceptions have no common base class
            results[name] = {"failed": one_line(str(error).strip().splitlines()[-1], 200)}
        print(f"{name}: {results[name]}", flush=True)
    write_json(folder / "openvino/results.json", {"version": openvino.__version__, "models": results})


def _error(got: np.ndarray, true: np.ndarray) -> float:
    """The largest error relative to the root mean square; infinity for another shape or for NaN."""
    if got.shape != true.shape:
        return float("inf")
    if true.dtype.kind in "OUS":
        return 0.0 if (got == true).all() else float("inf")
    size = float(np.sqrt(np.mean(np.square(true, dtype=np.float64)))) or 1.0
    error = float(np.max(np.abs(got.astype(np.float64) - true)) / size)
    return error if np.isfinite(error) else float("inf")


def record(folder: Path) -> None:
    """Write the record, if each runtime has run."""
    targets = {}
    for target in TARGETS:
        manifest = json.loads((folder / target / "manifest.json").read_text())
        results: dict[str, Any] = {"version": None, "models": {}}
        if target in RUN:
            results = json.loads((folder / target / "results.json").read_text())
        rows = {
            name: {"refused": entry["refused"]}
            if "refused" in entry
            else {"opset": entry["opset"], **results["models"].get(name, {})}
            for name, entry in manifest.items()
        }
        targets[target] = {"version": results["version"], "models": rows}
    commands = [f"python benchmarks/targets.py {step} FOLDER" for step in ("export", "openvino", "record")]
    commands.insert(2, "node benchmarks/targets.mjs FOLDER")
    machine = {"python": platform.python_version(), "machine": platform.machine(), "numpy": np.__version__}
    write_json(
        RECORD, {"commands": commands, "date": str(date.today()), "machine": machine, "targets": targets}
    )
    wrong = [
        f"{target}: {name}"
        for target in RUN
        for name, row in targets[target]["models"].items()
        if "refused" not in row and not (row.get("error") is not None and row["error"] <= LARGEST)
    ]
    if wrong:
        raise CheckError(
            f"expected errors of at most {LARGEST:g}, got more, or a failure, of {', '.join(wrong)}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the step and its folder."""
    steps = {"export": export, "openvino": run_openvino, "record": record}
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) != 2 or arguments[0] not in steps:
        raise UserError(
            f"expected one of {', '.join(steps)} and a folder, got {' '.join(arguments) or 'nothing'}"
        )
    steps[arguments[0]](Path(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
