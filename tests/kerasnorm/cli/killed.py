"""python killed.py NAME MOMENT COUNT OPTIONS...: train, and kill this process while it writes a file.

NAME: the file, or 'removed' for the removal of checkpoint.npz.
MOMENT: 'half': its temporary file is half-written; 'before' or 'after': it is about to be renamed, or has been.
COUNT: which of the times that it is written, from 1.
"""

import os
import signal
import sys
from pathlib import Path

from kerasnorm.cli.train import cli

name, moment, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
replace, unlink = os.replace, Path.unlink
written = 0


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def replace_or_die(source: Path, target: Path) -> None:
    global written
    if Path(target).name != name:
        return replace(source, target)
    written += 1
    if written == count and moment == "half":
        os.truncate(source, os.path.getsize(source) // 2)
    if written == count and moment != "after":
        kill()
    replace(source, target)
    if written == count:
        kill()


def unlink_or_die(path: Path, missing_ok: bool = False) -> None:
    removes = name == "removed" and path.name == "checkpoint.npz" and path.exists()
    if removes and moment == "before":
        kill()
    unlink(path, missing_ok)
    if removes:
        kill()


os.replace = replace_or_die  # type: ignore[assignment]
Path.unlink = unlink_or_die  # type: ignore[method-assign, assignment]
sys.argv[1:] = sys.argv[4:]
sys.exit(cli())
