"""The normalizations as a worked example in Excel. `python -m kerasnorm.workbook` is `kerasnorm.cli.workbook`.

One sheet holds the values of two layers: a few images x channels x 2x2 pixels of small whole numbers. A sheet for
each normalization colours the values that share a mean and a variance, and computes means, variances and normalized
values with live formulas: edit a value, a gamma or a beta, and the rest follows.
"""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from export.errors import UserError
from kerasnorm.image_plots import light_colors
from kerasnorm.norms import EPSILON, NORMS, Norm, SharedValues, get_norm, with_groups

LAYERS = ("Layer N", "Layer N+1")
SIZE = 2  # pixels of an image, in height and width
LOW, HIGH = -3, 3  # the values are whole numbers from LOW to HIGH

_THIN = Side(style="thin", color="808080")
_EDITABLE = PatternFill("solid", start_color="FFF2CC")
_STATISTICS_COLUMNS = 5  # label, mean, variance, and mean and variance of the normalized values


@dataclasses.dataclass(frozen=True)
class Example:
    """The size of the worked example.

    Args:
        images: number of images, 1 to 64.
        channels: number of channels, 1 to 64.
        groups: number of groups for gn; it must divide `channels`.
        seed: seed of the random values.

    Raises:
        UserError: an argument is out of range.
    """

    images: int = 4
    channels: int = 4
    groups: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value in (("images", self.images), ("channels", self.channels)):
            if not 1 <= value <= 64:
                raise UserError(f"{name}: expected 1 to 64, got {value}")
        if self.groups < 1 or self.channels % self.groups:
            divisors = [number for number in range(1, self.channels + 1) if self.channels % number == 0]
            raise UserError(
                f"groups: expected a divisor of channels={self.channels} ({divisors}), got {self.groups}"
            )
        if self.seed < 0:
            raise UserError(f"seed: expected 0 or more, got {self.seed}")

    def values(self) -> np.ndarray:
        """Return random whole numbers, (layers, images, SIZE, SIZE, channels)."""
        shape = (len(LAYERS), self.images, SIZE, SIZE, self.channels)
        return np.random.default_rng(self.seed).integers(LOW, HIGH + 1, shape)

    def sets(self, norm: str) -> list[SharedValues]:
        """Return the sets of values that share a mean and a variance: label, images and channels of each."""
        return get_norm(norm).shared_values(self.images, self.channels, self.groups)


@dataclasses.dataclass(frozen=True)
class Grid:
    """The position of a block of values on a sheet: images downwards, channels to the right.

    Every set of values that shares a mean is one rectangle. Excel's AVERAGE and VARP skip the blank rows and columns
    between images and channels.

    Args:
        row: first row of the values, from 1; the headings are in the row above.
        column: first column of the values, from 1.
    """

    row: int
    column: int

    def cell(self, image: int, channel: int, y: int, x: int) -> tuple[int, int]:
        """Return row and column of a value."""
        return self.row + image * (SIZE + 1) + y, self.column + channel * (SIZE + 1) + x

    def area(self, images: range, channels: range) -> str:
        """Return the rectangle of some images and channels, as a formula names it."""
        first = self.cell(images[0], channels[0], 0, 0)
        last = self.cell(images[-1], channels[-1], SIZE - 1, SIZE - 1)
        return f"{_name(*first)}:{_name(*last)}"


@dataclasses.dataclass(frozen=True)
class Positions:
    """The positions of a layer's parts on the sheet of a normalization; the same for each normalization."""

    values: Grid
    statistics: tuple[int, int]  # row of the first set, column of the labels
    gamma: int  # row of the gammas; the next row has the betas
    normalized: Grid

    @classmethod
    def of(cls, example: Example, layer: int) -> Positions:
        """Return the positions for a layer, counted from 0."""
        sets = max(len(example.sets(norm)) for norm in NORMS)
        height = max(example.images * (SIZE + 1), sets + 1) + 7
        top = 8 + layer * height
        width = example.channels * (SIZE + 1)
        statistics = 2 + width + 1
        return cls(Grid(top, 2), (top, statistics), top - 3, Grid(top, statistics + _STATISTICS_COLUMNS + 2))


EPSILON_CELL = "$C$3"


def _name(row: int, column: int) -> str:
    return f"{get_column_letter(column)}{row}"


def make_workbook(example: Example) -> Workbook:
    """Return the workbook: a sheet that explains, one with the values, and one for each normalization."""
    book = Workbook()
    explanation = book.active
    assert isinstance(explanation, Worksheet)
    _explain(explanation, example)
    values = book.create_sheet("values")
    _write_values(values, example)
    for norm in NORMS.values():
        _write_norm(book.create_sheet(norm.key), example, norm)
    for sheet in (values, *(book[norm] for norm in NORMS)):
        sheet.sheet_view.showGridLines = False
        sheet.page_setup.orientation = "landscape"
        sheet.page_setup.fitToHeight = 0
        sheet.sheet_properties.pageSetUpPr.fitToPage = True
    return book


def value_grid(example: Example, layer: int) -> Grid:
    """Return the position of a layer's values on the sheet 'values'."""
    return Grid(5 + layer * (example.images * (SIZE + 1) + 4), 2)


def _explain(sheet: Worksheet, example: Example) -> None:
    sheet.title = "read me"
    sheet.column_dimensions["A"].width = 110
    lines = [
        (", ".join(norm.name for norm in NORMS.values()) + ": a worked example", True),
        (
            f"{example.images} images of {SIZE}x{SIZE} pixels with {example.channels} channels, at two layers of a "
            f"network: random whole numbers from {LOW} to {HIGH}, seed {example.seed}.",
            False,
        ),
        ("", False),
        (
            "normalized value = [(x - mu) / sigma * gamma] + beta,   sigma = square root of (variance + epsilon)",
            True,
        ),
        ("mu and sigma are computed from the values; they are not trained.", False),
        ("gamma and beta are trained, a pair for each channel. They start at 1 and 0.", False),
        ("The variance is the population variance: it divides by the number of values.", False),
        ("", False),
        ("The normalizations differ only in which values share a mu and a sigma:", True),
        *(
            (f"{key}: {norm.description} (sheet {key}, a colour for each set)", False)
            for key, norm in NORMS.items()
        ),
        (
            f"The groups of {', '.join(with_groups())}: {example.groups}, each of "
            f"{example.channels // example.groups} neighbouring channels.",
            False,
        ),
        ("", False),
        (
            "Yellow cells can be edited: the values on the sheet 'values', and gamma, beta and epsilon on the others. "
            "All other cells are formulas.",
            False,
        ),
        (
            "Try it: replace one image's values. With bn the results of all images change, otherwise only its own.",
            False,
        ),
        (
            "The Keras layers, in training: "
            + "; ".join(f"{key}: {norm.keras_layer}" for key, norm in NORMS.items())
            + f"; epsilon={EPSILON:g}.",
            False,
        ),
    ]
    for row, (text, bold) in enumerate(lines, 1):
        cell = sheet.cell(row, 1, text)
        cell.font = Font(bold=bold, size=14 if row == 1 else 11)
        cell.alignment = Alignment(wrap_text=True, vertical="top")


def _write_values(sheet: Worksheet, example: Example) -> None:
    _title(sheet, "The values, which can be edited", "Images downwards, channels to the right.")
    array = example.values()
    for layer, title in enumerate(LAYERS):
        grid = value_grid(example, layer)
        _head(sheet, grid, example, title)
        for index in np.ndindex(example.images, example.channels, SIZE, SIZE):
            image, channel, y, x = index
            cell = sheet.cell(*grid.cell(*index), int(array[layer, image, y, x, channel]))
            _frame(cell, _EDITABLE, "0.###")
    _widths(sheet, 2, example.channels, 5.5)


def _write_norm(sheet: Worksheet, example: Example, norm: Norm) -> None:
    _title(
        sheet,
        f"{norm.name}: {norm.description}",
        "[(x - mu) / sigma * gamma] + beta.   Values of one colour share a mu and a sigma; yellow cells can be edited.",
    )
    sheet["A3"] = "epsilon"
    _frame(sheet[EPSILON_CELL.replace("$", "")], _EDITABLE, "0E+00").value = EPSILON
    sets = example.sets(norm.key)
    fills = [PatternFill("solid", start_color=color) for color in light_colors(len(sets))]
    for layer, title in enumerate(LAYERS):
        positions = Positions.of(example, layer)
        source = value_grid(example, layer)
        _head(sheet, positions.values, example, f"{title}: values")
        _head(sheet, positions.normalized, example, f"{title}: normalized", above=4)
        _write_gamma_beta(sheet, positions, example)
        row, label = positions.statistics
        headings = ("", "mu", "variance", "mu after", "variance after")
        for offset, heading in enumerate(headings):
            cell = sheet.cell(row - 1, label + offset, heading or None)
            cell.font = Font(bold=True)
            cell.alignment = Alignment(horizontal="right")
        for index, (name, images, channels) in enumerate(sets):
            fill = fills[index]
            before = positions.values.area(images, channels)
            after = positions.normalized.area(images, channels)
            _frame(sheet.cell(row + index, label, name), fill, "@")
            for offset, formula in enumerate(
                (f"=AVERAGE({before})", f"=VARP({before})", f"=AVERAGE({after})", f"=VARP({after})"), 1
            ):
                _frame(sheet.cell(row + index, label + offset, formula), fill, "0.000")
            mean = f"${get_column_letter(label + 1)}${row + index}"
            variance = f"${get_column_letter(label + 2)}${row + index}"
            for image in images:
                for channel in channels:
                    gamma = _name(positions.gamma, positions.normalized.cell(0, channel, 0, 0)[1])
                    beta = _name(positions.gamma + 1, positions.normalized.cell(0, channel, 0, 0)[1])
                    for y, x in np.ndindex(SIZE, SIZE):
                        value = positions.values.cell(image, channel, y, x)
                        linked = f"=values!{_name(*source.cell(image, channel, y, x))}"
                        _frame(sheet.cell(*value, linked), fill, "0.###")
                        formula = (
                            f"=(({_name(*value)}-{mean})/SQRT({variance}+{EPSILON_CELL})*{gamma})+{beta}"
                        )
                        out = positions.normalized.cell(image, channel, y, x)
                        _frame(sheet.cell(*out, formula), fill, "0.00")
    first = Positions.of(example, 0)
    _widths(sheet, first.values.column, example.channels, 5)
    _widths(sheet, first.normalized.column, example.channels, 6.5)
    label = first.statistics[1]
    for offset, width in enumerate((17, 8, 9, 9, 13)):
        sheet.column_dimensions[get_column_letter(label + offset)].width = width


def _write_gamma_beta(sheet: Worksheet, positions: Positions, example: Example) -> None:
    for offset, (name, value) in enumerate((("gamma", 1), ("beta", 0))):
        row = positions.gamma + offset
        title = sheet.cell(row, positions.normalized.column - 1, name)
        title.font = Font(bold=True)
        title.alignment = Alignment(horizontal="right")
        for channel in range(example.channels):
            column = positions.normalized.cell(0, channel, 0, 0)[1]
            _frame(sheet.cell(row, column, value), _EDITABLE, "0.###")


def _title(sheet: Worksheet, title: str, note: str) -> None:
    sheet["A1"] = title
    sheet["A1"].font = Font(bold=True, size=14)
    sheet["A2"] = note


def _head(sheet: Worksheet, grid: Grid, example: Example, title: str, above: int = 2) -> None:
    """Write a title, `above` rows over the values, and the headings of channels and images."""
    sheet.cell(grid.row - above, grid.column, title).font = Font(bold=True)
    for channel in range(example.channels):
        row, column = grid.cell(0, channel, 0, 0)
        sheet.merge_cells(
            start_row=row - 1, end_row=row - 1, start_column=column, end_column=column + SIZE - 1
        )
        cell = sheet.cell(row - 1, column, f"ch {channel + 1}")
        cell.alignment = Alignment(horizontal="center")
    for image in range(example.images):
        row, column = grid.cell(image, 0, 0, 0)
        cell = sheet.cell(row, column - 1, f"image {image + 1}")
        cell.alignment = Alignment(horizontal="right")
    sheet.column_dimensions[get_column_letter(grid.column - 1)].width = 9


def _widths(sheet: Worksheet, first: int, channels: int, width: float) -> None:
    for channel in range(channels):
        for x in range(SIZE + 1):
            letter = get_column_letter(first + channel * (SIZE + 1) + x)
            sheet.column_dimensions[letter].width = width if x < SIZE else 1.5


def _frame(cell: Cell, fill: PatternFill, number_format: str) -> Cell:
    cell.fill = fill
    cell.border = Border(left=_THIN, right=_THIN, top=_THIN, bottom=_THIN)
    cell.number_format = number_format
    return cell


if __name__ == "__main__":
    from kerasnorm.cli.workbook import cli

    sys.exit(cli())
