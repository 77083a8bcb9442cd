"""Tables in Markdown."""

from collections.abc import Iterable, Sequence

from kerasnorm.study.tables import Column, Table


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table.

    Args:
        titles: a title for each column; that of a column of numbers ends in a colon.
        rows: the cells of each row.
    """
    columns = tuple(Column(title.removesuffix(":"), number=title.endswith(":")) for title in titles)
    return Table(columns, tuple(tuple(map(str, row)) for row in rows)).markdown()
