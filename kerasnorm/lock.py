"""A lock on a folder. The operating system releases it when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from export.errors import UserError

LOCK = ".lock"
BUSY = (
    "expected a directory that no other process uses, got one in which a training is running; wait for it, or name "
    "another with --out"
)


@contextlib.contextmanager
def locked(folder: Path, lock: str = LOCK, busy: str = BUSY) -> Iterator[None]:
    """Hold the lock of a folder, which is a file in it. The file is removed at the end.

    A killed process leaves the file behind, but not the lock. On a file system without locks, nothing is locked.

    Args:
        folder: the folder.
        lock: name of the file.
        busy: what the error says if another process holds the lock.

    Raises:
        UserError: another process holds the lock, or the file can't be made.
    """
    path = folder / lock
    file = _open_locked(path, busy)
    try:
        yield
    finally:
        if sys.platform == "win32":  # Windows does not remove an open file
            os.close(file)
        with contextlib.suppress(OSError):
            path.unlink()
        if sys.platform != "win32":
            os.close(file)


def check_unlocked(folder: Path, lock: str = LOCK, busy: str = BUSY) -> None:
    """Raise UserError if another process holds the lock of a folder; make no file."""
    if (folder / lock).exists():
        with locked(folder, lock, busy):
            pass


def _open_locked(path: Path, busy: str) -> int:
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; choose another folder") from error
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            os.close(file)
            raise UserError(f"{path.parent}: {busy}") from None
        except OSError:  # the file system has no locks
            return file
        # The holder before us may have removed the file after we opened it. Then others would lock a new one.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file), path.stat()):
                return file
        os.close(file)


def _lock(file: int) -> None:
    """Lock a file without waiting; raise BlockingIOError or PermissionError if another process holds it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
