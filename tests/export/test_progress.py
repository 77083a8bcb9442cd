import io

from export.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_that_is_written_over_and_removed() -> None:
    stream = Terminal()
    show = ProgressLine("check", stream, delay=0)
    show(5, 1000)
    show(1000, 1000)
    assert stream.getvalue() == "\rcheck: 5 of 1,000 rows\r" + " " * 22 + "\r"


def test_nothing_is_shown_at_first_or_without_a_terminal() -> None:
    for stream, delay in ((Terminal(), 60.0), (io.StringIO(), 0.0)):
        ProgressLine("check", stream, delay)(5, 10)
        assert stream.getvalue() == ""
