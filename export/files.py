"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.errors import UserError, reason_of


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write(temporary)` write a temporary file, then rename it to `path`.

    The temporary file is in the same folder, because a rename is atomic only within a file system, and has the same
    suffix, because savers choose the format by it. After any failure, Ctrl-C included, `path` is as it was before.
    Only a process that is killed leaves its temporary file behind; the next one that writes `path` removes it.

    Raises:
        UserError: the file could not be written.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    with contextlib.suppress(OSError):  # a folder that can't be listed may still be writable
        for file, process in temporary_files(path).items():
            if not _is_running(process):
                file.unlink()
    try:
        write(temporary)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error.strerror or str(error)) from error
    except RuntimeError as error:
        # h5py reports a full disk as a RuntimeError of several lines.
        reason = reason_of(error)
        raise _cannot_write(path, reason) from error
    finally:
        temporary.unlink(missing_ok=True)


def temporary_files(path: Path) -> dict[Path, int]:
    """Return the temporary files that `write_whole` has for `path`, with the id of the process that made each.

    Raises:
        OSError: the folder can't be listed.
    """
    name = re.compile(rf"\.{re.escape(path.stem)}\.([1-9]\d*)\.tmp{re.escape(path.suffix)}")
    matches = ((file, name.fullmatch(file.name)) for file in path.parent.iterdir())
    return {file: int(match[1]) for file, match in matches if match}


def _is_running(process: int) -> bool:
    if os.name != "posix":  # on Windows, os.kill would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's process, or no process id at all
        return True
    return True


def _cannot_write(path: Path, reason: str) -> UserError:
    return UserError(f"cannot write {path}: {reason}; free some space or choose another folder")


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, completely or not at all.

    The undecodable bytes of a file's name, which Python holds as lone surrogates, are written as escapes (`\\udcff`).
    JSON reads them back.
    """
    write_whole(
        path,
        lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace"),
    )


def write_json(path: Path, value: Any) -> None:
    """Write JSON, completely or not at all; NaN and infinity become null, which every JSON parser accepts."""
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
