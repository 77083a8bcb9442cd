"""Whether the parity check passes every architecture of keras.applications; results/bench/parity_applications.json.

usage: python -m benchmarks.parity_applications [--quick] [MODEL ...]    (default: all; each in a process of its own)

The models return logits (`classifier_activation=None`); weights are seeded, and the statistics of batch normalizations
are those of a batch of images. Such logits lose 1e-6 to 1e-4 of their size in any float32 runtime. No right graph may
be refused, without an option.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from export.command import import_tensorflow_quietly
from export.files import write_json

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results/bench/parity_applications.json"


def measure(name: str, quick: bool) -> dict[str, Any]:
    """Export one architecture's graph and check it."""
    import_tensorflow_quietly()
    from export.convert import convert
    from export.parity import check_parity
    from export.parity.memory import peak_memory
    from scripts.bench_applications import build

    model = build(name, classifier_activation=None)
    before = peak_memory() or 0
    start = time.monotonic()
    conversion = convert(model)
    converted, conversion_peak = time.monotonic() - start, peak_memory() or 0
    cpu = time.process_time()
    parity = check_parity(model, conversion, quick=quick)
    cpu = time.process_time() - cpu
    regular = [d for d in parity.differences if d.data.startswith("batch")]
    if not parity.passed:
        print(parity.table(), file=sys.stderr)
    return {
        "passed": parity.passed,
        "oracle": parity.oracle,
        "rows": parity.rows,
        "error": max(d.max_abs / d.size for d in regular),
        "keras_error": max(d.keras_error / d.size for d in regular),
        "allowance": max(d.allowance / d.size for d in regular),
        "largest_share_of_allowance": max(d.max_abs / d.allowance for d in parity.differences),
        "seconds": {
            "conversion": round(converted, 1),
            "parity": round(parity.seconds, 1),
            "parity_cpu": round(cpu, 1),  # of all cores together
        },
        "peak_gib": {
            "model": round(before / 2**30, 2),
            "conversion": round(conversion_peak / 2**30, 2),
            "parity": round((parity.peak_memory or 0) / 2**30, 2),
        },
    }


def main() -> int:
    """Measure the models named, or all, each in a process of its own; add each to the record as it comes."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--one"]:
        print(json.dumps(measure(arguments[1], "--quick" in arguments)))
        return 0
    from scripts.bench_applications import OTHERS, TIMED

    quick = ["--quick"] if "--quick" in arguments else []
    names = [name for name in arguments if name != "--quick"] or [*TIMED, *OTHERS]
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {"models": {}}
    for name in names:
        command = [sys.executable, "-m", "benchmarks.parity_applications", "--one", name, *quick]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            print(f"{name}: exit code {done.returncode}: {done.stderr.strip()[-300:]}", file=sys.stderr)
            continue
        record["models"][name] = json.loads(done.stdout.splitlines()[-1])
        print(name, record["models"][name], flush=True)
        write_json(RECORD, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
