"""How much memory a file that may come from a stranger can take.

A few bytes can declare an array of any size, so every reader adds up what a file declares and calls `check_size`
before it allocates any of it. The rule is the same for every format. A file may declare up to `EXPANSION` times its
own size, because honest files store most of what they declare. It may always declare `HARMLESS` bytes, because every
machine has that much and a small file may be a very compressible one. It may never declare more than the available
memory, because the system would kill the process without a message. The standard library is all that this needs.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from export.errors import UserError

HARMLESS = 256 * 2**20  # bytes
EXPANSION = 100  # deflate reaches 1032 on zeros; digits on a black background reach 6
MEMORY = Path("/proc/meminfo")


def check_size(path: str | Path, what: str, size: int) -> None:
    """Check that what a file declares is small enough to be allocated.

    Args:
        path: the file, or a folder of files.
        what: what declares the size, for the error message.
        size: bytes that it will take.

    Raises:
        UserError: it takes more than the file justifies, or more than is available.
    """
    path = Path(path)
    files = path.rglob("*") if path.is_dir() else [path]
    stored = sum(file.stat().st_size for file in files if file.is_file())
    if size > max(HARMLESS, EXPANSION * stored):
        raise UserError(
            f"{path}: expected at most {EXPANSION} times the {stored:,} bytes of the file, or {HARMLESS:,} bytes, "
            f"got {size:,} bytes of {what}; the file is damaged or made to exhaust the memory"
        )
    available = available_memory()
    if available is not None and size > available:
        raise UserError(
            f"{path}: expected at most {available:,} bytes, the available memory, got {size:,} bytes of {what}; free "
            "some memory, or use a smaller file"
        )


def available_memory() -> int | None:
    """Bytes of memory that a process can take without swapping; None if the system doesn't say (only Linux does)."""
    try:
        lines = MEMORY.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(kilobytes[0]) if kilobytes else None


def open_zip(path: str | Path) -> zipfile.ZipFile:
    """Open a zip archive whose members are stored or deflated, as Keras and NumPy write them.

    zipfile never returns more of a member than its declared size. It decompresses other methods in pieces of any
    size, so they are refused.

    Raises:
        UserError: a member is compressed in another way.
        OSError, zipfile.BadZipFile: the file can't be read.
    """
    archive = zipfile.ZipFile(path)
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            archive.close()
            raise UserError(
                f"{path}: expected members that are stored or deflated, got {member.filename!r}, compressed by method "
                f"{member.compress_type}; save the file again with Keras or NumPy"
            )
    return archive
