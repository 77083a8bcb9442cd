"""Arrays from `.npz` files that may come from a stranger; NumPy is all it needs, so that inference can use it."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

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
    try:
        _refuse_single_array(path)
        with open_zip(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            chosen = [members[name] for name in choose(list(members))]
            check_size(path, "arrays", sum(archive.getinfo(member).file_size for member in chosen))
            return [_read_member(path, archive, member) for member in chosen]
    except (UserError, MemoryError):
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: expected a .npz file, found nothing of that name") from None
    except IsADirectoryError:
        raise UserError(f"{path}: expected a .npz file, got a folder") from None
    except Exception as error:  # NumPy, zipfile and zlib raise whatever a damaged file provokes
        reason = reason_of(error)
        raise UserError(f"{path}: expected a readable .npz file of plain arrays: {reason}") from error


def _refuse_single_array(path: str | Path) -> None:
    with open(path, "rb") as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
            raise UserError(f"{path}: expected a .npz archive, got a single array")


def _read_member(path: str | Path, archive: zipfile.ZipFile, member: str) -> np.ndarray:
    """Read an array whose shape and dtype declare no more bytes than the member holds."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"{member!r} has version {version} of the format, which only named fields need")
        shape, _, dtype = HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which are never loaded; save plain numeric arrays")
    declared, held = math.prod(shape) * dtype.itemsize, archive.getinfo(member).file_size
    if declared > held:
        raise UserError(
            f"{path}: expected {declared:,} bytes of {member!r}, as its shape {shape} declares, got {held:,}; save "
            "the file again"
        )
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
