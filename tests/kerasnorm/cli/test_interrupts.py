import os
import signal
import threading
from collections.abc import Iterator

import pytest

from kerasnorm.cli.interrupts import ctrl_c, sigterm_as_interrupt, stop_between_epochs


@pytest.fixture
def python_handler() -> Iterator[None]:
    """Python's own handler of Ctrl-C; these tests may run in the background, where a shell ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_background_job_of_a_shell_still_ignores_ctrl_c() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ctrl_c() as pressed:
            press()
            assert not pressed.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_handler")
def test_ctrl_c_raises_at_once_and_sets_the_event() -> None:
    with ctrl_c() as pressed:
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            press()
        assert pressed.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("python_handler")
def test_an_exception_that_replaces_the_interrupt_becomes_the_interrupt() -> None:
    def press_in_a_callback() -> None:
        try:
            press()
        except KeyboardInterrupt as interrupt:
            raise RuntimeError("pybind11::error_already_set") from interrupt

    with pytest.raises(KeyboardInterrupt, match=r"^$"), ctrl_c():
        press_in_a_callback()


def test_other_exceptions_pass_through() -> None:
    with pytest.raises(RuntimeError, match="another error"), ctrl_c():
        raise RuntimeError("another error")


def test_a_lost_interrupt_stops_the_run_between_epochs() -> None:
    pressed = threading.Event()
    stop = stop_between_epochs(pressed)
    stop.on_train_begin(None)
    stop.on_epoch_end(0, {})
    pressed.set()
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        stop.on_train_begin(None)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        stop.on_epoch_end(1, {})


def test_sigterm_is_an_interrupt_and_sets_the_event() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_as_interrupt() as received:
        assert not received.is_set()
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            os.kill(os.getpid(), signal.SIGTERM)
        assert received.is_set()
    assert signal.getsignal(signal.SIGTERM) is before
