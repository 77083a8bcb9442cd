"""Signals that end a command: Ctrl-C during training, and SIGTERM while other processes train."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


@contextlib.contextmanager
def ctrl_c() -> Iterator[threading.Event]:
    """Yield an event that is set when Ctrl-C is pressed, and end with KeyboardInterrupt.

    Python raises KeyboardInterrupt in whatever Python code is running. If C++ code has called that code back, the
    exception is lost except for a message on stderr, which this context suppresses, or it becomes another exception,
    which this context turns back into KeyboardInterrupt.
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
    except Exception as error:
        if pressed.is_set():
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = hook


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[threading.Event]:
    """Raise KeyboardInterrupt for SIGTERM too, and yield an event that is set then.

    The default action of SIGTERM ends the process at once and leaves the processes that it has started running.
    """
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def handle(number: int, frame: FrameType | None) -> None:
        received.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_between_epochs(pressed: threading.Event) -> keras.callbacks.Callback:
    """Return a callback that raises KeyboardInterrupt between epochs if Ctrl-C was pressed.

    Args:
        pressed: the event that `ctrl_c` yields.
    """
    import keras

    def stop(*_: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    return keras.callbacks.LambdaCallback(on_train_begin=stop, on_epoch_end=stop)
