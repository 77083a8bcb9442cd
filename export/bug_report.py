"""A bug report: a zip archive with what it takes to reproduce a failed export, and none of the user's data.

    report.json    versions, options, message, parity metrics
    traceback.txt  where the export failed
    config.json    the model's configuration, redacted: see `export.redaction`
    graph.onnx     the structure of the ONNX graph, redacted, if the model could be converted

`export.reproduce` makes the model again, with random weights.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import traceback
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export import __version__
from export.errors import UserError, one_line
from export.files import write_whole

if TYPE_CHECKING:
    import keras
    import onnx

    from export.conversion import Options

REPORT, TRACEBACK, CONFIG, GRAPH = "report.json", "traceback.txt", "config.json", "graph.onnx"
PACKAGES = (
    *(
        "keras",
        "tensorflow",
        "jax",
        "torch",
        "numpy",
        "onnx",
        "onnx-ir",
        "onnxruntime",
        "tf2onnx",
        "h5py",
        "protobuf",
    ),
)


@dataclass
class Findings:
    """What is known of an export when it ends, well or not.

    Attributes:
        arguments: the options of the command line.
        options: how the model was converted.
        model: the Keras model, once it is loaded.
        proto: the ONNX graph, if the export succeeded.
        parity: the parity report, as parity.json has it.
        error: what ended the export; None if it succeeded.
    """

    arguments: Mapping[str, Any]
    options: Options | None = None
    model: keras.Model | None = None
    proto: onnx.ModelProto | None = None
    parity: dict[str, Any] | None = None
    error: BaseException | None = None


def check_report_path(path: Path) -> None:
    """Raise UserError unless a report can be written there."""
    if path.suffix != ".zip" or path.is_dir() or not path.parent.is_dir():
        raise UserError(
            f"{path}: expected a name ending in .zip, in an existing folder; choose another with --report"
        )


def write_report(path: Path, findings: Findings) -> str:
    """Write a report.

    Returns:
        What is in it and what is not, for people.

    Raises:
        UserError: the file can't be written.
    """
    from export.redaction import redacted_graph

    notes: list[str] = []
    members: dict[str, bytes] = {}
    config = _config(findings, notes)
    if config is not None:
        members[CONFIG] = _json(config)
    proto = findings.proto if findings.proto is not None else _converted(findings, notes)
    if proto is not None:
        members[GRAPH] = redacted_graph(proto).SerializeToString()
    if findings.error is not None:
        members[TRACEBACK] = _bytes("".join(traceback.format_exception(findings.error)))
    members = {REPORT: _json(_record(findings, config, notes)), **members}

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members.items():
                file.writestr(name, data)

    write_whole(path, write)
    return (
        f"{path}: {', '.join(members)}. In it: versions, options, messages, the names of files, layers and inputs. "
        "Not in it: weights, check data, vocabularies, class names, code but for the lines in the traceback. "
        "Nothing was sent: look into it, and attach it to an issue."
    )


def _record(findings: Findings, config: Any, notes: Sequence[str]) -> dict[str, Any]:
    """The content of report.json."""
    error, arguments = findings.error, dict(findings.arguments)
    if arguments.get("class_names"):
        arguments["class_names"] = f"{len(arguments['class_names'].split(','))} names"
    return {
        "error": None if error is None else type(error).__name__,
        "message": "the export succeeded" if error is None else " ".join(str(error).split()),
        "exit_code": 0 if error is None else getattr(error, "exit_code", None),
        "arguments": arguments,
        "versions": _versions(),
        "platform": platform.platform(),
        "backend": _backend(),
        "layers": dict(Counter(_layers(config)).most_common()),
        "parity": findings.parity,
        "notes": list(notes),
    }


def _versions() -> dict[str, str]:
    found = {"kerasnorm": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _backend() -> str:
    keras = sys.modules.get("keras")
    return str(
        keras.backend.backend() if keras is not None else os.environ.get("KERAS_BACKEND", "tensorflow")
    )


def _layers(config: Any) -> list[str]:
    """The class of each layer of a configuration, also of those in other layers."""
    if isinstance(config, list):
        return [name for item in config for name in _layers(item)]
    if not isinstance(config, dict):
        return []
    own = [str(config["class_name"])] if "build_config" in config or "inbound_nodes" in config else []
    return own + [name for value in config.values() for name in _layers(value)]


def _config(findings: Findings, notes: list[str]) -> Any:
    """The redacted configuration: of the model that was loaded, or else of what its file says."""
    from export.redaction import redacted_config

    text = None
    if findings.model is not None:
        try:
            text = findings.model.to_json()
        except Exception as error:  # of a custom layer's get_config
            notes.append(f"the model has no configuration: {_reason(error)}")
    if text is None and "keras" in sys.modules:
        from export.model_file import read_config, read_json

        arguments = findings.arguments
        try:
            text = (
                read_json(Path(arguments["config"]))
                if arguments["config"]
                else read_config(Path(arguments["model"]))
            )
        except Exception as error:  # a damaged file is what the report is about
            notes.append(f"no configuration could be read: {_reason(error)}")
    return None if text is None else redacted_config(json.loads(text))


def _converted(findings: Findings, notes: list[str]) -> onnx.ModelProto | None:
    """The graph of a model whose export failed; None if it can't be converted."""
    if findings.model is None or findings.options is None:
        return None
    from export.convert import convert

    try:
        return convert(findings.model, findings.options).proto
    except Exception as error:  # most likely what the report is about
        notes.append(f"no graph: {_reason(error)}")
        return None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error, 150)}"


def _json(value: Any) -> bytes:
    return _bytes(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def _bytes(text: str) -> bytes:
    from export.redaction import without_home

    return without_home(text).encode("utf-8", "replace")
