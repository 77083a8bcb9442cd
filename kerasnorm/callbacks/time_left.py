"""TimeLeft: an estimate of how long a training still takes."""

from __future__ import annotations

import statistics

LAST = 5  # epochs, whose median is what the next ones are expected to take


class TimeLeft:
    """Estimates the time that is left from the epochs so far, or from the batches of the first one.

    The first epoch and the first batch, which wait for the compiler, count only as long as there are no others.

    Args:
        epochs: the number of the last epoch; None if it is not known.
        steps: batches in an epoch; None if they are not known.
    """

    def __init__(self, epochs: int | None, steps: int | None) -> None:
        self._epochs, self._steps = epochs, steps
        self._seconds: list[float] = []
        self._first: tuple[int, float] | None = None  # a batch, and when it ended

    def epoch_begins(self, epoch: int, now: float) -> None:
        """Note that the epoch with this number, counted from 0, begins."""
        self._done, self._batches, self._begin = epoch, 0, now

    def batches_are_done(self, batches: int, now: float) -> None:
        """Note that so many batches of the epoch are done."""
        self._batches = batches
        if self._first is None:
            self._first = batches, now

    def epoch_ends(self, now: float) -> float:
        """Note that the epoch ends; return its seconds."""
        seconds = now - self._begin
        self._seconds.append(seconds)
        self.epoch_begins(self._done + 1, now)
        return seconds

    def seconds(self, now: float) -> float | None:
        """Return the seconds that are left; None if nothing tells."""
        if self._epochs is None:
            return None
        left = self._epochs - self._done  # with the epoch that is under way
        if left <= 0:
            return 0.0
        if self._seconds:
            epoch = statistics.median(self._seconds[1:][-LAST:] or self._seconds)
            return (left - 1) * epoch + max(epoch - (now - self._begin), 0.0)
        if self._steps is None or self._first is None or self._batches <= self._first[0]:
            return None
        batch = (now - self._first[1]) / (self._batches - self._first[0])
        return batch * max(left * self._steps - self._batches, 0)
