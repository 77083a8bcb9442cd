"""The files of a run that was trained on another machine: sent as bytes, or written to a shared folder.

Either way the other machine sends the SHA-256 of each file, and only files that have it become a run.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from export.errors import CheckError
from export.files import write_whole
from kerasnorm import rundir
from kerasnorm.history import HISTORY

# A complete run has these at least, and no other files than those of a run directory.
REQUIRED = {rundir.CONFIG, HISTORY, rundir.MODEL, rundir.METRICS}
ALLOWED = set(rundir.FILES) - {rundir.CHECKPOINT}

# How long a network file system may take to show a file that another machine has written, in seconds.
SHARED_SECONDS = 90.0


@dataclass(frozen=True)
class Returned:
    """A complete run of another machine.

    Attributes:
        seconds: how long the training took.
        sha256: the SHA-256 of each file, by the file's name.
        contents: the bytes of each file; empty if the files are in a shared folder.
    """

    seconds: float
    sha256: Mapping[str, str]
    contents: Mapping[str, bytes]


def read_run(path: Path, seconds: float, *, shared: bool) -> Returned:
    """Return the files of a complete run.

    Args:
        path: the run directory.
        seconds: how long the training took.
        shared: whether the receiver sees the same directory, so that it needs the SHA-256 alone.
    """
    contents = {name: (path / name).read_bytes() for name in ALLOWED if (path / name).exists()}
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return Returned(seconds, sha256, {} if shared else contents)


def place_run(returned: Returned, path: Path, settings: Mapping[str, Any]) -> None:
    """Write the files to a run directory; an unfinished run in it is replaced. metrics.json is last, as in training.

    Args:
        returned: what `read_run` returned on the other machine.
        path: the run directory.
        settings: what the run must be, as in config.json.

    Raises:
        CheckError: they are not the files of a complete run, or a file has another SHA-256.
        UserError: it is another run, or a file can't be written.
    """
    _check_names(path, returned.contents)
    for name, content in returned.contents.items():
        if hashlib.sha256(content).hexdigest() != returned.sha256.get(name):
            raise CheckError(
                f"{path}: expected {name} as the worker sent it, got other bytes; run the same command again"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temporary:
        new = Path(temporary)
        for name, content in returned.contents.items():
            write_whole(new / name, partial(_write, content))
        _check_run(new, path, settings)
        with rundir.claimed(path):
            rundir.clear(path)
            for name in rundir.FILES:
                if name in returned.contents:
                    os.replace(new / name, path / name)


def check_shared_run(
    returned: Returned, path: Path, settings: Mapping[str, Any], seconds: float = SHARED_SECONDS
) -> None:
    """Wait until a shared folder shows the files as the other machine wrote them.

    Args:
        returned: what `read_run` returned on the other machine.
        path: the run directory.
        settings: what the run must be, as in config.json.
        seconds: how long to wait.

    Raises:
        CheckError: a file is missing or has another SHA-256.
        UserError: it is another run.
    """
    _check_names(path, returned.sha256)
    deadline = time.monotonic() + seconds
    while missing := [name for name, sha256 in returned.sha256.items() if _sha256(path / name) != sha256]:
        if time.monotonic() > deadline:
            raise CheckError(
                f"{path}: expected {missing[0]} as the worker wrote it, got "
                f"{'another' if (path / missing[0]).exists() else 'none'} within {seconds:g} s; make sure that the "
                "folder of --runs is the same on all machines, or leave out --shared-runs"
            )
        time.sleep(0.2)
    _check_run(path, path, settings)


def _check_names(path: Path, names: Mapping[str, object]) -> None:
    if not set(names) >= REQUIRED or not set(names) <= ALLOWED:
        raise CheckError(
            f"{path}: expected the files {', '.join(sorted(REQUIRED))} of a complete run from the worker, got "
            f"{', '.join(sorted(map(str, names))) or 'none'}; run the same command again"
        )


def _check_run(folder: Path, path: Path, settings: Mapping[str, Any]) -> None:
    rundir.read_metrics(folder)
    rundir.check_same(folder, settings, f"the worker trained another run than {path}")


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)
