"""Ctrl-C during `fit`: a KeyboardInterrupt that is raised where it would be lost still ends the run."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import keras


class StopAfterEpoch(keras.callbacks.Callback):
    """Raise KeyboardInterrupt at the end of an epoch if Ctrl-C was pressed before.

    Args:
        pressed: the event that `ctrl_c` returns.
    """

    def __init__(self, pressed: threading.Event) -> None:
        super().__init__()
        self.pressed = pressed

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop if Ctrl-C was pressed."""
        if self.pressed.is_set():
            raise KeyboardInterrupt


@contextlib.contextmanager
def ctrl_c() -> Iterator[threading.Event]:
    """Yield an event that is set when Ctrl-C is pressed.

    Python raises KeyboardInterrupt in whatever Python code is running. If C++ code has called that code back, the
    exception is lost, and only a message on stderr is left of it; this context suppresses the message.
    """
    pressed = threading.Event()
    # Only the main thread receives signals, and a shell makes its background jobs ignore those of the keyboard.
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):
        yield pressed
        return

    def handle(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.default_int_handler(number, frame)

    def suppress(lost: sys.UnraisableHookArgs) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            hook(lost)

    before, hook = signal.signal(signal.SIGINT, handle), sys.unraisablehook
    sys.unraisablehook = suppress
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = hook
