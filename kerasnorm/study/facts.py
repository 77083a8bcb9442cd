"""The facts behind a study: its data, machines, versions, time and dates."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from kerasnorm.study.plan import Run


def facts(runs: Sequence[Run], today: date) -> list[tuple[str, list[str]]]:
    """Return a name for each fact, and its lines: one, or one for each value that the runs have.

    Args:
        runs: complete runs.
        today: the date of the report.
    """
    configs = [run.config for run in runs]
    data = _different(_data(config["data"]) for config in configs)
    seconds = [run.metrics["seconds"] for run in runs]
    dates = sorted({config["date"] for config in configs if "date" in config})
    trained = f"trained {dates[0]}" + (f" to {dates[-1]}" if len(dates) > 1 else "") if dates else ""
    return [
        ("Data", data if len(data) == 1 else ["Warning: the runs were trained on different data.", *data]),
        ("SHA-256", _different(config["data"]["sha256"] for config in configs)),
        ("Machine", _different(map(_machine, configs))),
        ("Versions", _different(map(_versions, configs))),
        ("Time", [f"{_minutes(statistics.median(seconds))} for a run (median of {len(runs)})"]),
        ("Date", [", ".join(part for part in (trained, f"report of {today}") if part)]),
    ]


def _data(data: dict[str, Any]) -> str:
    shape = "×".join(map(str, data["image_shape"]))
    return (
        f"{data['name']}: {data['training_images']:,} training images, {data['test_images']:,} test images, "
        f"{shape} pixels, {len(data['class_names'])} classes"
    )


def _machine(config: dict[str, Any]) -> str:
    parts = [config["machine"]]
    if config.get("processor"):
        parts.insert(0, config["processor"])
    if "cores" in config:
        parts.insert(-1, f"{config['cores']} cores" if config["cores"] > 1 else "1 core")
    return ", ".join(parts)


def _versions(config: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in config["versions"].items())


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def _different(texts: Iterable[str]) -> list[str]:
    """Each text once, in order."""
    return list(dict.fromkeys(texts))
