"""How much memory this process has taken at most."""

from __future__ import annotations

import sys


def peak_memory() -> int | None:
    """The largest resident size of this process so far, in bytes; None on Windows, which has no `resource`."""
    try:
        import resource
    except ImportError:
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # macOS counts bytes, Linux KiB
