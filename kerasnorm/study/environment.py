"""What must be the same on every machine that trains runs of one study: versions, code and data."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import export
import kerasnorm
from export.errors import UserError
from kerasnorm.data import hold_out, load_data

DATA = "data with SHA-256"
PACKAGES = ("keras", "tensorflow", "numpy")


def environment(data: str, held_out: int = 0) -> dict[str, str]:
    """Return a value for each thing that must be the same.

    Args:
        data: a name or a file, as for `load_data`.
        held_out: number of training images that take the place of the test images.

    Raises:
        UserError: the data is not available here, or can't be used.
    """
    dataset = load_data(data)
    if held_out:
        dataset = hold_out(dataset, held_out)
    return {
        "Python": platform.python_version(),
        "kerasnorm": kerasnorm.__version__,
        "kerasnorm's code with SHA-256": _code_sha256(),
        **{package: _version(package) for package in PACKAGES},
        "KERAS_BACKEND": os.environ.get("KERAS_BACKEND") or "tensorflow",
        DATA: dataset.sha256,
    }


def check_environment(where: str, expected: Mapping[str, str], got: Mapping[str, str]) -> None:
    """Check that another machine's environment is that of this one.

    Args:
        where: name of the other machine, for the message.
        expected: the environment here.
        got: the environment there.

    Raises:
        UserError: they differ.
    """
    for name, value in expected.items():
        if got.get(name) != value:
            way_out = "put the same file there" if name == DATA else "make both the same"
            raise UserError(f"{where}: expected {name} {value}, got {got.get(name, 'none')}; {way_out}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _code_sha256() -> str:
    """Of the two packages: a working copy may have other code under the same version."""
    digest = hashlib.sha256()
    for package in (kerasnorm, export):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
            digest.update(path.read_text(encoding="utf-8").encode())  # whatever the line ends are
    return digest.hexdigest()
