"""The plumbing of the command lines: one line and an exit code for each error."""

import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

import export
from export.command import Parser, run, set_tensorflow_environment
from export.errors import CheckError, Unsupported, UserError


def raising(error: BaseException) -> Callable[[Sequence[str] | None], int]:
    def main(argv: Sequence[str] | None) -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("\x1b[2Ja\x07\u202eb\n"), 2, r"error: \x1b[2Ja\x07\u202eb"),
        (PermissionError(13, "Permission denied", "/\x1b[31mx"), 2, r"/\x1b[31mx: Permission denied"),
        (UserError("expected a,\n  got b"), 2, "error: expected a, got b"),
        (Unsupported("layer 'x'"), 2, "error: layer 'x'"),
        (CheckError("parity failed"), 1, "error: parity failed"),
        (KeyboardInterrupt(), 130, "error: interrupted; run the same command again"),
        (KeyboardInterrupt("use --resume"), 130, "error: use --resume"),
        (PermissionError(13, "Permission denied", "/x"), 2, "/x: Permission denied"),
        (MemoryError(), 2, "error: expected more memory"),
    ],
)
def test_error_becomes_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raising(error)) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert line in output.err


def test_success_is_the_code_of_main(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda argv: len(argv or ()), ["a", "b"]) == 2
    assert capsys.readouterr().err == ""


def test_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(raising(ZeroDivisionError("a bug")))
    with pytest.raises(OSError, match="without a number"):
        run(raising(OSError("without a number")))


def test_usage_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="tool")
    parser.add_argument("--norm", choices=["bn"])
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--norm", "x"])
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "invalid choice: 'x'" in message


def test_usage_error_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        Parser(prog="tool").parse_args(["\x1b[31mforged\nline"])
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert r"unrecognized arguments: \x1b[31mforged line" in message


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["-m", "export"], "python -m export"),
        (["-m", "export.infer"], "python -m export.infer"),
        (["-c", "from export.infer import cli; import sys; sys.argv[0] = '/bin/infer.exe'; cli()"], "infer"),
    ],
)
def test_a_command_has_the_name_that_it_was_called_by(argv: list[str], name: str) -> None:
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, timeout=60)
    assert done.stderr.startswith(f"{name}: error: the following arguments are required: MODEL")
    assert done.stderr.endswith(f"(see {name} --help)\n")


def test_every_command_has_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        Parser(prog="tool").parse_args(["--version"])
    assert capsys.readouterr().out == f"kerasnorm {export.__version__}\n"


def test_closed_pipe_is_success() -> None:
    """The reader of the output, such as `head`, closes it before everything is written."""
    code = "import sys; from export.command import run; sys.exit(run(lambda argv: print('x' * 10**6) or 0))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert (process.wait(60), process.stderr.read()) == (0, b"")
    process.stderr.close()


def test_tensorflow_environment_keeps_what_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    set_tensorflow_environment()
    assert (os.environ["TF_ENABLE_ONEDNN_OPTS"], os.environ["TF_CPP_MIN_LOG_LEVEL"]) == ("0", "3")
