"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.errors import UserError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write(temporary)` write a file, then give it its final name in one step.

    The temporary file lies in the same folder (a rename is atomic only within a file system) and has the
    same suffix (savers choose their format by it). A failure at any moment, Ctrl-C included, leaves what
    stood under `path` before.

    Raises:
        UserError: the file could not be written; the message names it, the reason and what to do.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {path}: {reason}; free some space or name another place") from error
    except RuntimeError as error:
        # h5py reports a full disk as a RuntimeError, in several lines of its own.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "unknown reason"
        raise UserError(f"cannot write {path}: {reason}; free some space or name another place") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, whole or not at all; NaN becomes null, which every reader of JSON accepts."""
    text = json.dumps(_finite(value), indent=2, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
