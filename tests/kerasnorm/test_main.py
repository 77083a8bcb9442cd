from tests.conftest import Command


def test_the_module_is_the_command(command: Command) -> None:
    done = command("kerasnorm", "train", "--norm", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m kerasnorm train: error: argument --norm: invalid choice: 'x'")
    assert done.stderr.endswith("(see python -m kerasnorm train --help)\n")
