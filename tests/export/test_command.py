import pytest

from export.command import Parser, run
from export.errors import CheckError, UserError


def raising(error: BaseException):  # type: ignore[no-untyped-def]
    def main(argv: object) -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("expected a,\n  got b"), 2, "error: expected a, got b"),
        (CheckError("parity failed"), 1, "error: parity failed"),
        (KeyboardInterrupt(), 130, "error: interrupted; run the same command again"),
        (KeyboardInterrupt("use --resume"), 130, "error: use --resume"),
        (PermissionError(13, "Permission denied", "/x"), 2, "/x: Permission denied"),
        (MemoryError(), 2, "error: expected more memory"),
    ],
)
def test_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raising(error)) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert line in output.err


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(raising(ZeroDivisionError("a bug")))


def test_usage_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="tool")
    parser.add_argument("--norm", choices=["bn"])
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--norm", "x"])
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "invalid choice: 'x'" in message
