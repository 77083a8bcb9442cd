"""Arrays from `.npz` and `.npy` files that may come from a stranger.

NumPy is all it needs, so that inference can use it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from export.errors import UserError, reason_of
from export.limits import check_size, open_zip

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: str | Path, choose: Callable[[list[str]], Sequence[str]]) -> list[np.ndarray]:
    """Read some of the arrays in a `.npz` file; pickled objects are never loaded.

    The size of the arrays is checked before any is read (`export.limits`).

    Args:
        path: the file.
        choose: takes the names of all arrays in the file and returns those to read, in order. It raises a UserError
            if an array is missing.

    Raises:
        UserError: the file is missing, damaged, not an archive, holds pickled objects, or declares more data than
            it holds or than the memory does.
    """
    with _one_line_errors(path, ".npz"):
        _refuse_single_array(path)
        with open_zip(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            chosen = [members[name] for name in choose(list(members))]
            check_size(path, "arrays", sum(archive.getinfo(member).file_size for member in chosen))
            arrays = []
            for member in chosen:
                with archive.open(member) as file:
                    arrays.append(_read_array(path, file, member, archive.getinfo(member).file_size))
            return arrays


def read_npy(path: str | Path) -> np.ndarray:
    """Read the array of a `.npy` file; pickled objects are never loaded.

    Raises:
        UserError: the file is missing or damaged, holds pickled objects, or declares more data than it holds.
    """
    with _one_line_errors(path, ".npy"), open(path, "rb") as file:
        return _read_array(path, file, Path(path).name, Path(path).stat().st_size)


@contextlib.contextmanager
def _one_line_errors(path: str | Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (UserError, MemoryError):
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: expected a {kind} file, found nothing of that name") from None
    except IsADirectoryError:
        raise UserError(f"{path}: expected a {kind} file, got a folder") from None
    except Exception as error:  # NumPy, zipfile and zlib raise whatever a damaged file provokes
        reason = reason_of(error)
        raise UserError(f"{path}: expected a readable {kind} file of plain arrays: {reason}") from error


def _refuse_single_array(path: str | Path) -> None:
    with open(path, "rb") as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
            raise UserError(f"{path}: expected a .npz archive, got a single array")


def _read_array(path: str | Path, file: IO[bytes], name: str, held: int) -> np.ndarray:
    """Read an array whose shape and dtype declare no more bytes than are held."""
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"{name!r} has version {version} of the format, which only named fields need")
    shape, _, dtype = HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which are never loaded; save plain numeric arrays")
    declared = math.prod(shape) * dtype.itemsize
    if declared > held:
        raise UserError(
            f"{path}: expected {declared:,} bytes of {name!r}, as its shape {shape} declares, got {held:,}; save "
            "the file again"
        )
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
