"""Models that packages build, small and with random weights; a file for each kind of package."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import keras

# The package that each file needs.
FILES = {
    "hub_vision": "keras_hub",
    "hub_text": "keras_hub",
    "hub_tasks": "keras_hub",
    "others": "keras",
}


def installed() -> dict[str, Callable[[], keras.Model]]:
    """What builds each model of the packages that are installed, by 'PACKAGE: MODEL'."""
    models: dict[str, Callable[[], keras.Model]] = {}
    for file, package in FILES.items():
        if importlib.util.find_spec(package) is not None:
            models |= importlib.import_module(f"benchmarks.packages.{file}").MODELS
    return models
