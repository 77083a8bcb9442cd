import numpy as np

from kerasnorm.workbook import make_workbook
from kerasnorm.worked_example import Example, Positions


def test_each_set_has_a_colour_and_all_formulas_are_live() -> None:
    example = Example(seed=3)
    book = make_workbook(example)
    for norm, sets in (("bn", 4), ("ln", 4), ("gn", 8)):
        positions = Positions.of(example, 0)
        for grid in (positions.values, positions.normalized):
            colours: dict[tuple[int, ...], set[str]] = {}
            for image, channel, y, x in np.ndindex(4, 4, 2, 2):
                cell = book[norm].cell(*grid.cell(image, channel, y, x))
                assert str(cell.value).startswith("=")
                key = {"bn": (channel,), "ln": (image,), "gn": (image, channel // 2)}[norm]
                colours.setdefault(key, set()).add(cell.fill.start_color.rgb)
            assert len(colours) == sets
            assert all(len(colour) == 1 for colour in colours.values())
            assert len(set.union(*colours.values())) == sets
