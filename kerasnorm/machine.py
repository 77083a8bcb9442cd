"""The machine that a run is trained on."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any


def describe_machine() -> dict[str, Any]:
    """Return the system, the name of the processor and the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"machine": platform.platform(), "processor": processor(), "cores": cores}


def processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor; an empty text if the system doesn't tell."""
    try:
        found = re.search(r"^model name\s*: (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:  # no Linux
        found = None
    return found[1] if found else platform.processor()
