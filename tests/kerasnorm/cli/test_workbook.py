from pathlib import Path

import openpyxl
import pytest

from export.errors import UserError
from kerasnorm.cli.workbook import main
from kerasnorm.worked_example import Example, value_grid


def test_options_choose_the_example(tmp_path: Path) -> None:
    out = tmp_path / "example.xlsx"
    assert main([str(out), "--images", "2", "--channels", "6", "--groups", "2", "--seed", "4"]) == 0
    book = openpyxl.load_workbook(out)
    assert book.sheetnames[:5] == ["read me", "values", "bn", "ln", "gn"]
    grid = value_grid(Example(2, 6, 2, 4), 1)
    assert book["values"].cell(*grid.cell(1, 5, 1, 0)).value == Example(2, 6, 2, 4).values()[1, 1, 1, 0, 5]


def test_wrong_arguments_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"groups: expected a divisor of channels=4 \(\[1, 2, 4\]\), got 3"):
        main([str(tmp_path / "a.xlsx"), "--groups", "3"])
    with pytest.raises(UserError, match=r"expected a name ending in \.xlsx"):
        main([str(tmp_path / "a.xls")])
    with pytest.raises(UserError, match=r"cannot write .*: No such file or directory"):
        main([str(tmp_path / "missing/a.xlsx")])
    assert not list(tmp_path.iterdir())
