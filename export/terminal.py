"""Text from files, made safe to print on a terminal; the standard library is all it needs."""

from __future__ import annotations

from collections.abc import Sequence

# Neither printable by Unicode's rules nor able to forge anything: scripts and emoji join letters with them.
JOINERS = "\u200c\u200d"


def escape(text: str) -> str:
    r"""Replace each character that a terminal may act on by its Python escape, such as `\n` or `\x1b`.

    These are the control characters, with which ANSI codes begin, line and paragraph separators, marks that change
    the direction of text, and bytes of a file name that are not UTF-8. A backslash stays as it is.
    """
    return "".join(
        char if char.isprintable() or char in JOINERS else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as aligned columns, a line for each row. The cells are escaped."""
    cells = [[escape(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
