"""Arrays from `.npz` files that may come from a stranger; NumPy is all it needs, so that inference can use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from export.errors import UserError


def read_npz(path: str | Path, choose: Callable[[list[str]], Sequence[str]]) -> list[np.ndarray]:
    """Read some of the arrays in a `.npz` file; pickled objects are never loaded.

    Args:
        path: the file.
        choose: takes the names of all arrays in the file and returns those to read, in order. It raises a UserError
            if an array is missing.

    Raises:
        UserError: the file is missing, damaged, not an archive, or holds pickled objects.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise UserError(f"{path}: expected a .npz archive, got a single array")
        with loaded as file:
            return [np.asarray(file[name]) for name in choose(file.files)]
    except (UserError, MemoryError):
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: expected a .npz file, found nothing of that name") from None
    except IsADirectoryError:
        raise UserError(f"{path}: expected a .npz file, got a folder") from None
    except Exception as error:  # NumPy, zipfile and zlib raise whatever a damaged file provokes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "allow_pickle" in str(error):
            reason = "it holds pickled objects, which are never loaded; save plain numeric arrays"
        raise UserError(f"{path}: expected a readable .npz file of plain arrays: {reason}") from error
