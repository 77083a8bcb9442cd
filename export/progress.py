"""A line on a terminal that shows how far a long piece of work is."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class ProgressLine:
    """Shows `NAME: 123 of 10,000 rows` from two seconds on, and removes it at the end.

    Nothing is shown where the output is not a terminal, so that logs stay clean.

    Args:
        name: what is done.
        stream: where to write; standard error by default.
        delay: seconds before the line first appears.
    """

    def __init__(self, name: str, stream: TextIO | None = None, delay: float = 2.0) -> None:
        self._name = name
        self._stream = stream or sys.stderr
        self._start = time.monotonic()
        self._delay = delay
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        """Show that so many rows are done."""
        if not self._stream.isatty() or time.monotonic() - self._start < self._delay:
            return
        text = f"{self._name}: {done:,} of {total:,} rows" if done < total else ""
        self._stream.write("\r" + text.ljust(self._width) + ("" if text else "\r"))
        self._stream.flush()
        self._width = len(text)
