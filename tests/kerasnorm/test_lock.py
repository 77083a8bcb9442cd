import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kerasnorm.lock import LOCK, check_unlocked, locked

HOLD = (
    "import sys; from pathlib import Path; from kerasnorm.lock import locked\n"
    "with locked(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
)


def test_a_lock_excludes_others_and_leaves_no_file(tmp_path: Path) -> None:
    with locked(tmp_path):
        assert (tmp_path / LOCK).exists()
        for _ in range(2):
            with (
                pytest.raises(ValueError, match="expected a directory that no other process uses"),
                locked(tmp_path),
            ):
                pass
            with pytest.raises(ValueError, match="expected a directory that no other process uses"):
                check_unlocked(tmp_path)
    assert not list(tmp_path.iterdir())
    check_unlocked(tmp_path)
    assert not list(tmp_path.iterdir())


def test_locks_of_one_folder_have_names_and_messages(tmp_path: Path) -> None:
    with locked(tmp_path, ".other"), locked(tmp_path), pytest.raises(ValueError, match="expected peace"):
        check_unlocked(tmp_path, ".other", "expected peace")
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(ValueError, match="a training is running; wait for it"):
        check_unlocked(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdin.close()
    process.stdout.close()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_file_that_its_holder_removes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our open and our lock, the holder ends and removes the file that we have opened."""
    fcntl = pytest.importorskip("fcntl")
    flock, calls = fcntl.flock, []

    def slow(file: int, how: int) -> None:
        calls.append(file)
        if len(calls) == 1:
            (tmp_path / LOCK).unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    with locked(tmp_path):
        assert len(calls) == 2
        assert (tmp_path / LOCK).exists()


def test_without_locks_in_the_file_system_nothing_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", fail)
    with locked(tmp_path), locked(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ValueError, match=r"cannot write .*: Permission denied"), locked(tmp_path):
            pass
    finally:
        tmp_path.chmod(0o700)
