"""Python code that a user names, which defines the custom classes of a model and the lowerings of its layers."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from export.errors import UserError

_IMPORTED_BY_KERAS = ("keras", "keras_hub", "keras_cv", "keras_nlp")


def import_code(name: str) -> dict[str, Any]:
    """Import a module, and return the classes and functions in it, by name, for Keras' `custom_objects`.

    Args:
        name: a Python file, such as 'my_layers.py', or the name of a module that Python finds from the current folder.

    Raises:
        UserError: there is no such file or module, or it can't be imported.
    """
    try:
        module = _of_file(Path(name)) if name.endswith(".py") else _of_name(name)
    except Exception as error:  # the code of users raises anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"--import {name}: expected a Python file or module that can be imported, got {type(error).__name__}: "
            f"{reason}"
        ) from error
    for public in getattr(module, "__all__", ()):
        getattr(module, public, None)  # a package may import its names when they are first used
    return {
        name: x
        for name, x in vars(module).items()
        if (inspect.isclass(x) or inspect.isfunction(x))
        and _package(x.__module__) == _package(module.__name__)
    }


def _package(name: str) -> str:
    """The package that a module belongs to; packages collect what their modules define."""
    return name.partition(".")[0]


def _of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # a class finds its module by this
    spec.loader.exec_module(module)
    return module


def _of_name(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def missing_names(config: str) -> list[str]:
    """The custom classes and functions that a Keras 3 configuration names and nobody has registered, in order.

    Args:
        config: the configuration, as JSON.
    """
    return list(dict.fromkeys(_name(entry) for entry in _missing(config)))


def missing_modules(config: str) -> list[str]:
    """The modules that define what `missing_names` lists, as far as the configuration names them."""
    modules = (str(entry.get("module") or "") for entry in _missing(config))
    return list(dict.fromkeys(name for name in modules if name not in ("", "builtins", "__main__")))


def _missing(config: str) -> Iterator[dict[str, Any]]:
    for entry in _objects(json.loads(config)):
        if keras.saving.get_registered_object(_name(entry)) is None:
            yield entry


def _name(entry: Mapping[str, Any]) -> str:
    is_function = entry["class_name"] == "function"
    return str(entry["config"] if is_function else entry["registered_name"] or entry["class_name"])


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """The parts of a configuration that stand for objects which Keras itself doesn't have."""
    if isinstance(config, dict):
        module = str(config.get("module") or "")
        is_tensor = config.get("class_name") == "__keras_tensor__"
        if "registered_name" in config and _package(module) not in _IMPORTED_BY_KERAS and not is_tensor:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)
