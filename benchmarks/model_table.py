"""What the export makes of models as people build, save and ship them; recorded in results/bench/models.json.

usage: python -m benchmarks.model_table [--speed] [MODEL ...]    (default: all designs of benchmarks/designs)

Each model is saved, loaded in another process, exported and checked there, exported by Keras in a third one, and both
graphs are timed in a fourth. The files stay in build/models. `--speed` times those again and leaves the rest of the
record as it is: do that on a machine that does nothing else.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.limited import Finished, run_limited
from export.command import import_tensorflow_quietly, run
from export.errors import UserError, one_line
from export.files import write_json

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results/bench/models.json"
KEPT = ROOT / "build/models"


def measure(
    name: str,
    build: str,
    *,
    seconds: float = 600,
    gib: float = 6,
    only_speed: bool = False,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Everything that is recorded of one model. No failure of the model raises here.

    Args:
        name: what to call the model.
        build: 'package.module:function'. The function takes no arguments and returns a Keras model, or a pair of the
            model and a batch of inputs for it, for the check and the timing. The classes of the module are the model's
            custom classes.
        seconds: how long each stage may take.
        gib: how much memory each stage may take.
        only_speed: time the graphs that an earlier call left in the folder; make them only if there are none.
        folder: where to keep the model and its graphs; None to keep nothing.

    Returns:
        `loads`: 'safe', 'unsafe' or missing; `route`, `reason`, `nodes`, `transposes`, `passed`, `max_error` and
        `keras_error` (relative to the root mean square), `error` in words; `seconds` and `peak_gib` of conversion and
        parity; `keras`: `nodes` and `seconds` of Keras' own export, or its `error`; `speed` by batch.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            limits = {"seconds": seconds, "gib": gib}
            return measure(name, build, **limits, only_speed=only_speed, folder=Path(temporary))
    folder.mkdir(parents=True, exist_ok=True)

    def stage(kind: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks.model_stages", kind, build, str(folder)]
        return _result(run_limited(command, ROOT, seconds, gib), folder)

    row: dict[str, Any] = {"name": name}
    if not only_speed or not (folder / "inputs.npz").exists():
        for file in folder.iterdir():
            file.unlink()
        saved = stage("save")
        if "error" in saved:
            return {**row, "error": f"can't be saved: {saved['error']}"}
        row |= {"parameters": saved["parameters"], **stage("export"), "keras": stage("keras")}
    if (folder / "inputs.npz").exists():
        row["speed"] = stage("speed")
    return row


def _result(finished: Finished, folder: Path) -> dict[str, Any]:
    if finished.failure:
        return {"error": one_line(finished.failure.replace(f"{folder}/", ""))}
    result: dict[str, Any] = json.loads(finished.output.splitlines()[-1])
    return result


def record_models(
    models: Mapping[str, str], path: Path, names: Sequence[str] = (), *, only_speed: bool = False
) -> None:
    """Measure models and add each to a record when it is done.

    Args:
        models: for each name, what builds the model, as `measure` wants it.
        path: the record, a JSON file.
        names: which of the models; all if there are none.
        only_speed: time the graphs of an earlier call again, and leave the rest of the record as it is.

    Raises:
        UserError: a name is unknown.
    """
    unknown = next((name for name in names if name not in models), None)
    if unknown is not None:
        raise UserError(f"model: expected one of {', '.join(models)}, got {unknown!r}")
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"models": {}}
    for name in names or models:
        row = measure(name, models[name], only_speed=only_speed, folder=KEPT / re.sub(r"\W+", "-", name))
        row = {**record["models"].get(name, {}), **row} if only_speed else row
        record["models"][name] = row
        print(name, json.dumps(row), flush=True)
        record["models"] = {known: record["models"][known] for known in models if known in record["models"]}
        write_json(path, record)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the named designs, or all."""
    import_tensorflow_quietly()
    from benchmarks.designs import DESIGNS

    arguments = list(sys.argv[1:] if argv is None else argv)
    names = [one for one in arguments if one != "--speed"]
    record_models(DESIGNS, RECORD, names, only_speed="--speed" in arguments)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
