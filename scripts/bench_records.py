"""The records of measurements in results/bench/."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "results/bench"


def bench_record(name: str) -> dict[str, Any]:
    """Return the content of results/bench/NAME.json."""
    record: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return record
