from tests.conftest import Command


def test_the_command_has_a_help(command: Command) -> None:
    done = command("kerasnorm.demo", "--help")
    assert done.returncode == 0, done.stderr
    assert "RUN" in done.stdout
