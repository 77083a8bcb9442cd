"""python -m kerasnorm.cli.child_train: kerasnorm.train in a process that ends when the one that started it ends.

The parent holds the other end of the pipe that is this process' standard input. When the parent closes it or ends,
however it ends, this process ends at once. A run directory can be resumed after any end.
"""

from __future__ import annotations

import os
import sys
import threading


def end_with_parent() -> None:
    """Start a thread that ends this process when its standard input ends."""
    threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    # Not sys.stdin.read(), which would hold a lock that Python takes at its own end.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    end_with_parent()
    from kerasnorm.cli.train import cli

    sys.exit(cli())
