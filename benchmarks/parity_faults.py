"""How many single faults in right graphs the parity check finds; recorded in results/bench/parity_faults.json.

usage: python -m benchmarks.parity_faults [--faults 45] [CASE ...]

Each case of benchmarks/parity_models.py is converted, checked (it has to pass) and then spoiled, one fault of
benchmarks/injected_faults.py at a time: a number of a weight, exchanged channels, a weight rounded to float16, an
epsilon, a pad, an axis, an activation or a residual connection left out, NaN for some inputs, images of a batch that
depend on each other, and so on. A fault *matters* if it moves what goes into the final softmax or sigmoid (otherwise
the output) by more than 1e-4 of its root mean square, makes a NaN or flips a class, on inputs that the check doesn't
draw: real images where there are any. The check has to find all of them. It takes a quarter of an hour; MNIST has to be
in $KERASNORM_DATA or Keras' cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.injected_faults import Fault, node_faults, value_faults, weight_faults
from export.command import import_tensorflow_quietly
from export.errors import KerasnormError
from export.files import write_json
from export.runtime import open_session

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results/bench/parity_faults.json"
MATTERS = 1e-4


def outcome(
    conversion: Any, batches: list[list[np.ndarray]]
) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """What goes into the final activation (else the outputs), and the outputs; None if the graph doesn't run."""
    from export.parity.logits import with_logits

    inner, outer = [], []
    try:
        count = len(conversion.outputs)
        with with_logits(conversion.model, range(count)):
            session = open_session(conversion.model.SerializeToString(), optimize=False)
            for batch in batches:
                values = session.run(None, dict(zip(conversion.inputs, batch, strict=True)))
                outer += values[:count]
                inner += values[count:] or values
    except Exception:  # onnxruntime's exceptions have no common base
        return None
    return inner, outer


def effect(right: Any, wrong: Any) -> float:
    """How far a fault moves what goes into the final activation, relative to its root mean square; inf: more."""
    largest = 0.0
    for pairs in (zip(right[0], wrong[0], strict=True), zip(right[1], wrong[1], strict=True)):
        for a, b in pairs:
            if a.shape != b.shape or np.any(np.isnan(b) & ~np.isnan(a)):
                return float("inf")
            if a.ndim > 1 and a.shape[-1] > 1 and np.any(a.argmax(-1) != b.argmax(-1)):
                return float("inf")
    for a, b in zip(right[0], wrong[0], strict=True):
        size = float(np.sqrt(np.mean(np.square(a.astype(np.float64)))))
        largest = max(largest, float(np.max(np.abs(a.astype(np.float64) - b))) / size)
    for a, b in zip(right[1], wrong[1], strict=True):  # a softmax that is gone leaves the logits as they are
        if float(np.max(np.abs(a - b))) > 1e-2:
            return float("inf")
    return largest


def measure(name: str, count: int) -> dict[str, Any]:
    """Spoil one case in many ways."""
    from benchmarks.parity_models import CASES
    from export.conversion import Options
    from export.convert import convert
    from export.parity import check_parity

    case = CASES[name]()
    conversion = convert(case.model, Options(input_range=case.input_range))
    parity = check_parity(case.model, conversion)
    if not parity.passed:
        raise SystemExit(f"{name}: the right graph is refused\n{parity.table()}")
    right_proto = onnx.ModelProto()
    right_proto.CopyFrom(conversion.model)
    right = outcome(conversion, case.inputs)
    rng = np.random.default_rng(0)
    kinds: dict[str, list[Fault]] = {}
    for fault in (
        *weight_faults(right_proto.graph, rng),
        *node_faults(right_proto.graph, rng),
        *value_faults(right_proto, case.inputs[-1]),
    ):
        kinds.setdefault(fault[0].split(":")[0], []).append(fault)
    chosen: list[Fault] = []
    while len(chosen) < count and any(kinds.values()):  # the kinds take turns
        for faults in kinds.values():
            if faults and len(chosen) < count:
                chosen.append(faults.pop(int(rng.integers(len(faults)))))
    rows = []
    for text, apply in chosen:
        conversion.model.CopyFrom(right_proto)
        apply(conversion.model.graph)
        wrong = outcome(conversion, case.inputs)
        if wrong is None:
            continue  # no runtime takes it, so nobody could be deceived
        size = effect(right, wrong)
        try:
            found = not check_parity(case.model, conversion).passed
        except KerasnormError:
            found = True
        row: dict[str, Any] = {"fault": text, "effect": size, "matters": size > MATTERS, "found": found}
        if row["matters"] and not found:
            row["found_with_data"] = not check_parity(case.model, conversion, data=case.data).passed
        rows.append(row)
    conversion.model.CopyFrom(right_proto)
    matter = [row for row in rows if row["matters"]]
    return {
        "faults": len(rows),
        "matter": len(matter),
        "found": sum(row["found"] for row in matter),
        "found_with_data": sum(row["found"] or row["found_with_data"] for row in matter),
        "missed": [row for row in matter if not row["found"]],
        "error": max(d.max_abs / d.size for d in parity.differences if d.data.startswith("batch") and d.size),
        "keras_error": max(
            d.keras_error / d.size for d in parity.differences if d.data.startswith("batch") and d.size
        ),
        "allowance": max(
            d.allowance / d.size for d in parity.differences if d.data.startswith("batch") and d.size
        ),
        "seconds": round(parity.seconds, 1),
        "rows": rows,
    }


def main() -> int:
    """Measure the cases named, or all, and record them."""
    import_tensorflow_quietly()
    from benchmarks.parity_models import CASES

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", choices=[[], *CASES], help="default: all")
    parser.add_argument("--faults", type=int, default=45, help="faults for each case (default: 45)")
    arguments = parser.parse_args()
    earlier = json.loads(RECORD.read_text())["cases"] if arguments.cases else {}
    record: dict[str, Any] = {"matters_above": MATTERS, "cases": earlier}
    for name in arguments.cases or CASES:
        start = time.monotonic()
        record["cases"][name] = result = measure(name, arguments.faults)
        print(
            f"{name}: {result['found']} of {result['matter']} found, {time.monotonic() - start:.0f} s",
            flush=True,
        )
        for row in result["missed"]:
            print(
                f"    missed: {row['fault']} ({row['effect']:.1e}); found with data: {row['found_with_data']}"
            )
    write_json(RECORD, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
