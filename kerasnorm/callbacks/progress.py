"""Progress: one line that says how far a training is, and how long it still takes."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

import keras

from kerasnorm.callbacks.time_left import TimeLeft

BETWEEN_UPDATES = 0.1  # seconds


class Progress(keras.callbacks.Callback):
    """Show one line for the whole training: epoch, time left, metrics and learning rate.

    On a terminal, the line is updated in place. Elsewhere, as in a log file or a notebook, each epoch gets a line. The
    time left is that of all epochs that are left, so it is right for `fit(..., initial_epoch=k)`, too. It is estimated
    from the last five epochs, and in the first epoch from its batches. It is left out where the number of epochs, or in
    the first epoch that of batches, is not known. Early stopping may end the training before.

    Give `fit` this callback and `verbose=0`; otherwise Keras shows its own progress besides.

    Args:
        metrics: names of the metrics to show, in this order, such as "accuracy" and "val_accuracy"; None: all. A
            terminal shows as many as fit.
        stream: where to write; None: standard output.
        clock: returns the time in seconds.

    Examples:
        >>> model.fit(x, y, epochs=25, validation_split=0.1, callbacks=[Progress()], verbose=0)
        epoch 7/25, 14 s, 4:12 left: accuracy 0.9812 (val 0.9874), loss 0.0621 (val 0.0413), lr 0.025
    """

    async_safe = True  # Keras may go on with the next batch while the line is updated

    def __init__(
        self,
        metrics: Sequence[str] | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._metrics, self._stream, self._clock = metrics, stream, clock
        self._width = 0  # of the line that stands on the terminal

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start the clock."""
        params = self.params or {}
        self._epochs = params.get("epochs")
        self._left = TimeLeft(self._epochs, params.get("steps"))
        self._logs: dict[str, Any] = {}
        self._on_terminal = self._out.isatty()
        self._start = self._clock()
        self._updated = float("-inf")

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Note the beginning of the epoch, and its learning rate."""
        self._epoch = epoch
        self._left.epoch_begins(epoch, self._clock())
        self._note_learning_rate()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Update the line on a terminal, at most ten times a second."""
        if not self._on_terminal:
            return
        now = self._clock()
        self._left.batches_are_done(batch + 1, now)
        if now - self._updated >= BETWEEN_UPDATES:
            self._updated = now
            self._logs.update(logs or {})
            self._update(self._time_left(now) or f"batch {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Show the metrics of the epoch."""
        now = self._clock()
        seconds = self._left.epoch_ends(now)
        self._note_learning_rate()
        self._logs.update(logs or {})
        when = self._time_in_all(now) if epoch + 1 == self._epochs else self._time_left(now)
        if self._on_terminal:
            self._update(when)
        else:
            took = f"{seconds:.{0 if seconds >= 10 else 1}f} s"
            print(self._line(took, when), file=self._out, flush=True)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Leave the last metrics on the terminal."""
        if self._on_terminal and self._logs:
            self._update(self._time_in_all(self._clock()))
        self.close()

    def close(self) -> None:
        """End the line on a terminal, for what is printed next; `fit` doesn't do it if the training is interrupted."""
        if self._width:
            self._width = 0
            self._out.write("\n")
            self._out.flush()

    @property
    def _out(self) -> TextIO:
        return self._stream or sys.stdout

    def _note_learning_rate(self) -> None:
        rate = getattr(getattr(self.model, "optimizer", None), "learning_rate", None)
        if rate is not None:
            self._logs["learning_rate"] = float(keras.ops.convert_to_numpy(rate))

    def _time_left(self, now: float) -> str:
        left = self._left.seconds(now)
        return "" if left is None else f"{clock_text(left)} left"

    def _time_in_all(self, now: float) -> str:
        return f"{clock_text(now - self._start)} in all"

    def _update(self, when: str) -> None:
        """Replace the line on the terminal."""
        line = self._line(when, width=shutil.get_terminal_size().columns - 1)
        self._out.write("\r" + line.ljust(self._width))
        self._out.flush()
        self._width = len(line)

    def _line(self, *when: str, width: int | None = None) -> str:
        """The line, with as many metrics as fit."""
        epoch = f"epoch {self._epoch + 1}" + (f"/{self._epochs}" if self._epochs else "")
        line, separator = ", ".join(filter(None, (epoch, *when))), ": "
        for text in metric_texts(self._logs, self._metrics):
            if width is not None and len(line + separator + text) > width:
                break
            line, separator = line + separator + text, ", "
        return line[:width]


def metric_texts(logs: Mapping[str, Any], names: Sequence[str] | None = None) -> list[str]:
    """Return a text for each metric, and for the learning rate. A validation value follows its metric in parentheses.

    Args:
        logs: what Keras gives callbacks.
        names: the keys of `logs` to show; None: all.
    """
    shown = [name for name in (logs if names is None else names) if name in logs and name != "learning_rate"]
    texts = []
    for name in shown:
        if name.removeprefix("val_") in shown and name.startswith("val_"):
            continue  # it stands beside its metric
        validation = f" (val {number_text(logs[f'val_{name}'])})" if f"val_{name}" in shown else ""
        texts.append(f"{name} {number_text(logs[name])}{validation}")
    return texts + ([f"lr {logs['learning_rate']:.4g}"] if "learning_rate" in logs else [])


def number_text(value: Any) -> str:
    """A metric with four digits; what is no single number, as it prints."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return " ".join(str(value).split())
    return f"{number:.4f}" if number == 0 or 1e-3 <= abs(number) < 1e5 else f"{number:.3e}"


def clock_text(seconds: float) -> str:
    """Seconds as m:ss, or as h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
