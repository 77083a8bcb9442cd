"""The normalizations as a worked example in Excel. `python -m kerasnorm.workbook` is `kerasnorm.cli.workbook`.

One sheet holds the values of two layers: a few images x channels x 2x2 pixels of small whole numbers. A sheet for
each normalization colours the values that share a mean and a variance, and computes means, variances and normalized
values with live formulas: edit a value, a gamma or a beta, and the rest follows.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from export.errors import UserError
from kerasnorm.norms import NORMS
from kerasnorm.worked_example import Example

if TYPE_CHECKING:
    from openpyxl import Workbook

__all__ = ["Example", "make_workbook"]


def make_workbook(example: Example) -> Workbook:
    """Return the workbook: a sheet that explains, one with the values, and one for each normalization.

    Raises:
        UserError: openpyxl is not installed.
    """
    try:
        from openpyxl import Workbook
    except ImportError as error:
        raise UserError("workbook: expected openpyxl, got none; pip install 'kerasnorm[excel]'") from error
    from kerasnorm.sheets import explain, write_norm, write_values

    book = Workbook()
    explain(book.worksheets[0], example)
    values = book.create_sheet("values")
    write_values(values, example)
    for norm in example.norms:
        write_norm(book.create_sheet(norm), example, NORMS[norm])
    for sheet in (values, *(book[norm] for norm in example.norms)):
        sheet.sheet_view.showGridLines = False
        sheet.page_setup.orientation = "landscape"
        sheet.page_setup.fitToHeight = 0
        sheet.sheet_properties.pageSetUpPr.fitToPage = True
    return book


if __name__ == "__main__":
    from kerasnorm.cli.workbook import cli

    sys.exit(cli())
