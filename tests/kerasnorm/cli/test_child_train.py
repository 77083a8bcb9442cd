import subprocess
import sys


def test_it_is_kerasnorm_train() -> None:
    command = [sys.executable, "-m", "kerasnorm.cli.child_train", "--norm", "bn", "--seed", "-1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.read() == "error: seed: expected 0 to 2147483647, got -1\n"
    assert process.returncode == 2


def test_it_ends_when_its_standard_input_ends() -> None:
    code = "import time; from kerasnorm.cli.child_train import end_with_parent; end_with_parent(); time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 1
