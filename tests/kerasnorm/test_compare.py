"""`python -m kerasnorm.compare`; the command itself is tested in cli/test_compare.py."""

import subprocess
from collections.abc import Callable

import kerasnorm.compare
from kerasnorm.cli import compare

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_module_is_the_command(command: Command) -> None:
    assert kerasnorm.compare.cli is compare.cli
    done = command("kerasnorm.compare", "--seeds", "0", "--data", "digits")
    assert done.returncode == 2
    assert done.stderr == "error: seeds: expected 1 or more, got 0\n"
