"""Fair timing: everything that is compared takes turns.

Within one run, a machine that is slow for a while is slow for all. A turn starts with calls that are not counted,
because the threads of the previous call keep spinning for a while and its data fill the caches. A ratio is that of
two medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import numpy as np

Call = Callable[[], object]

TURN = 0.02  # seconds of counted calls in a turn
MIN_CALLS = 20


class Summary(TypedDict):
    """The times of one kind of call.

    Attributes:
        median_ms: median time of a call.
        p05_ms: 5th percentile.
        p95_ms: 95th percentile.
        images_per_second: throughput at the median.
        calls: number of counted calls.
    """

    median_ms: float
    p05_ms: float
    p95_ms: float
    images_per_second: float
    calls: int


def time_calls(
    calls: Mapping[str, Call],
    seconds: float,
    turn: float = TURN,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time calls that take turns.

    Args:
        calls: what to time, by name.
        seconds: about how long to go on; at least until each has been called MIN_CALLS times.
        turn: seconds of counted calls in a turn.
        clock: `time.thread_time` counts the processor's time alone, of calls in one thread on a busy machine.

    Returns:
        The time of each counted call in milliseconds, by name.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    stop = clock() + seconds
    while clock() < stop or min(len(values) for values in times.values()) < MIN_CALLS:
        for name, call in calls.items():
            begin = clock()
            while clock() - begin < turn / 4:
                call()
            begin = start = clock()
            while start - begin < turn:
                call()
                end = clock()
                times[name].append(1e3 * (end - start))
                start = end
    return times


def summarize(times: Sequence[float], batch: int) -> Summary:
    """Summarize the times of calls with `batch` images each, in milliseconds."""
    low, median, high = (float(np.percentile(times, share)) for share in (5, 50, 95))
    return {
        "median_ms": median,
        "p05_ms": low,
        "p95_ms": high,
        "images_per_second": 1e3 * batch / median,
        "calls": len(times),
    }
