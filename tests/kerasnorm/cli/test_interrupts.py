import os
import signal
import threading

import pytest

from kerasnorm.cli.interrupts import StopAfterEpoch, ctrl_c


def test_a_background_job_of_a_shell_still_ignores_ctrl_c() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ctrl_c() as pressed:
            os.kill(os.getpid(), signal.SIGINT)
            assert not pressed.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_raises_at_once_and_sets_the_event() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ctrl_c() as pressed:
            with pytest.raises(KeyboardInterrupt, match=r"^$"):
                os.kill(os.getpid(), signal.SIGINT)
            assert pressed.is_set()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_lost_interrupt_stops_the_run_after_the_epoch() -> None:
    pressed = threading.Event()
    stop = StopAfterEpoch(pressed)
    stop.on_epoch_end(0)
    pressed.set()
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        stop.on_epoch_end(1)
