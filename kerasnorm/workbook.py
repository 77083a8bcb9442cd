"""workbook: the three normalizations as a worked example in Excel; `python -m kerasnorm.workbook OUT.xlsx`.

A sheet holds the values of two layers, a few images x channels x 2x2 pixels of small whole numbers. A sheet for
each normalization colours the values that share a mean and a variance, and computes mean, variance and normalized
values by live formulas: change a value, a gamma or a beta, and the rest follows.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from export.command import Parser, run
from export.errors import UserError
from export.files import write_whole
from kerasnorm.image_plots import light_colors
from kerasnorm.recipes import NORMS

LAYERS = ("Layer N", "Layer N+1")
SIZE = 2  # pixels of an image, in height and width
LOW, HIGH = -3, 3  # the values are whole numbers from LOW to HIGH
EPSILON = 1e-5

TITLES = {
    "bn": "Batch Normalization: a mean and a variance for each channel, over all images",
    "ln": "Layer Normalization: a mean and a variance for each image, over all channels",
    "gn": "Group Normalization: a mean and a variance for each image and each group of channels",
}

_THIN = Side(style="thin", color="808080")
_EDITABLE = PatternFill("solid", start_color="FFF2CC")
_STATISTIC_COLUMNS = 5  # label, mean, variance, and the two after normalization


@dataclasses.dataclass(frozen=True)
class Example:
    """The size of the worked example.

    Args:
        images: number of images, 1 to 64.
        channels: number of channels, 1 to 64.
        groups: number of groups for gn; it divides `channels`.
        seed: start of the random values.

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
        """The random values: (layers, images, SIZE, SIZE, channels), whole numbers."""
        shape = (len(LAYERS), self.images, SIZE, SIZE, self.channels)
        return np.random.default_rng(self.seed).integers(LOW, HIGH + 1, shape)

    def sets(self, norm: str) -> list[tuple[str, range, range]]:
        """The sets of values that share a mean and a variance: label, images and channels, of each."""
        all_images, all_channels = range(self.images), range(self.channels)
        if norm == "bn":
            return [
                (f"channel {channel + 1}", all_images, range(channel, channel + 1))
                for channel in all_channels
            ]
        if norm == "ln":
            return [(f"image {image + 1}", range(image, image + 1), all_channels) for image in all_images]
        size = self.channels // self.groups
        return [
            (
                f"image {image + 1}, group {group + 1}",
                range(image, image + 1),
                range(group * size, (group + 1) * size),
            )
            for image in all_images
            for group in range(self.groups)
        ]


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where a block of images (downwards) and channels (to the right) lies on a sheet.

    Blank rows and columns between the images and channels are skipped by Excel's AVERAGE and VARP, so every set
    of values that shares a mean is one rectangle.

    Args:
        row: first row of the values, from 1; the headings are in the row above.
        column: first column of the values, from 1.
    """

    row: int
    column: int

    def cell(self, image: int, channel: int, y: int, x: int) -> tuple[int, int]:
        """Row and column of one value."""
        return self.row + image * (SIZE + 1) + y, self.column + channel * (SIZE + 1) + x

    def area(self, images: range, channels: range) -> str:
        """The rectangle of some images and channels, as in a formula."""
        first = self.cell(images[0], channels[0], 0, 0)
        last = self.cell(images[-1], channels[-1], SIZE - 1, SIZE - 1)
        return f"{_name(*first)}:{_name(*last)}"


@dataclasses.dataclass(frozen=True)
class Places:
    """Where one layer's parts lie on the sheet of a normalization."""

    values: Grid
    statistics: tuple[int, int]  # row of the first set, column of its label
    gamma: int  # row of the gammas; the betas are in the next
    normalized: Grid

    @classmethod
    def of(cls, example: Example, layer: int) -> Places:
        """The same for each normalization; `layer` counts from 0."""
        sets = max(len(example.sets(norm)) for norm in NORMS)
        height = max(example.images * (SIZE + 1), sets + 1) + 7
        top = 8 + layer * height
        width = example.channels * (SIZE + 1)
        statistics = 2 + width + 1
        return cls(Grid(top, 2), (top, statistics), top - 3, Grid(top, statistics + _STATISTIC_COLUMNS + 2))


EPSILON_CELL = "$C$3"


def _name(row: int, column: int) -> str:
    return f"{get_column_letter(column)}{row}"


def make_workbook(example: Example) -> Workbook:
    """The workbook: a sheet that explains, one of values, one for each normalization."""
    book = Workbook()
    explanation = book.active
    assert isinstance(explanation, Worksheet)
    _explain(explanation, example)
    values = book.create_sheet("values")
    _write_values(values, example)
    for norm in NORMS:
        _write_norm(book.create_sheet(norm), example, norm)
    for sheet in (values, *(book[norm] for norm in NORMS)):
        sheet.sheet_view.showGridLines = False
        sheet.page_setup.orientation = "landscape"
        sheet.page_setup.fitToHeight = 0
        sheet.sheet_properties.pageSetUpPr.fitToPage = True
    return book


def value_grid(example: Example, layer: int) -> Grid:
    """Where a layer's values lie on the sheet 'values'."""
    return Grid(5 + layer * (example.images * (SIZE + 1) + 4), 2)


def _explain(sheet: Worksheet, example: Example) -> None:
    sheet.title = "read me"
    sheet.column_dimensions["A"].width = 110
    size = example.channels // example.groups
    lines = [
        ("Batch, Layer and Group Normalization: a worked example", True),
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
        (
            "gamma and beta are trained: a pair for each channel, whichever the normalization. They start at 1 and 0.",
            False,
        ),
        ("The variance is the population variance: it divides by the number of values.", False),
        ("", False),
        ("The three differ only in which values share a mu and a sigma:", True),
        (
            f"bn: the values of one channel in all {example.images} images (sheet bn; one colour a channel).",
            False,
        ),
        (
            f"ln: the values of one image in all {example.channels} channels (sheet ln; one colour an image).",
            False,
        ),
        (
            f"gn: the values of one image in a group of {size} neighbouring channels (sheet gn; one colour a group).",
            False,
        ),
        ("", False),
        (
            "Yellow cells can be edited: the values on the sheet 'values', and gamma, beta and epsilon on the others. "
            "All else are formulas.",
            False,
        ),
        (
            "To try: replace one image's values. With bn the results of all images change, else only its own.",
            False,
        ),
        (
            "Keras: BatchNormalization (in training); GroupNormalization(groups=1); GroupNormalization(groups="
            f"{example.groups}); epsilon=1e-5.",
            False,
        ),
    ]
    for row, (text, bold) in enumerate(lines, 1):
        cell = sheet.cell(row, 1, text)
        cell.font = Font(bold=bold, size=14 if row == 1 else 11)
        cell.alignment = Alignment(wrap_text=True, vertical="top")


def _write_values(sheet: Worksheet, example: Example) -> None:
    _title(sheet, "The values, to be edited", "Images downwards, channels to the right.")
    array = example.values()
    for layer, title in enumerate(LAYERS):
        grid = value_grid(example, layer)
        _head(sheet, grid, example, title)
        for index in np.ndindex(example.images, example.channels, SIZE, SIZE):
            image, channel, y, x = index
            cell = sheet.cell(*grid.cell(*index), int(array[layer, image, y, x, channel]))
            _frame(cell, _EDITABLE, "0.###")
    _widths(sheet, 2, example.channels, 5.5)


def _write_norm(sheet: Worksheet, example: Example, norm: str) -> None:
    _title(
        sheet,
        TITLES[norm],
        "[(x - mu) / sigma * gamma] + beta.   Values of one colour share a mu and a sigma; yellow cells can be edited.",
    )
    sheet["A3"] = "epsilon"
    _frame(sheet[EPSILON_CELL.replace("$", "")], _EDITABLE, "0E+00").value = EPSILON
    sets = example.sets(norm)
    fills = [PatternFill("solid", start_color=color) for color in light_colors(len(sets))]
    for layer, title in enumerate(LAYERS):
        places = Places.of(example, layer)
        source = value_grid(example, layer)
        _head(sheet, places.values, example, f"{title}: values")
        _head(sheet, places.normalized, example, f"{title}: normalized", above=4)
        _write_gamma_beta(sheet, places, example)
        row, label = places.statistics
        headings = ("", "mu", "variance", "mu after", "variance after")
        for offset, heading in enumerate(headings):
            cell = sheet.cell(row - 1, label + offset, heading or None)
            cell.font = Font(bold=True)
            cell.alignment = Alignment(horizontal="right")
        for index, (name, images, channels) in enumerate(sets):
            fill = fills[index]
            before = places.values.area(images, channels)
            after = places.normalized.area(images, channels)
            _frame(sheet.cell(row + index, label, name), fill, "@")
            for offset, formula in enumerate(
                (f"=AVERAGE({before})", f"=VARP({before})", f"=AVERAGE({after})", f"=VARP({after})"), 1
            ):
                _frame(sheet.cell(row + index, label + offset, formula), fill, "0.000")
            mean = f"${get_column_letter(label + 1)}${row + index}"
            variance = f"${get_column_letter(label + 2)}${row + index}"
            for image in images:
                for channel in channels:
                    gamma = _name(places.gamma, places.normalized.cell(0, channel, 0, 0)[1])
                    beta = _name(places.gamma + 1, places.normalized.cell(0, channel, 0, 0)[1])
                    for y, x in np.ndindex(SIZE, SIZE):
                        value = places.values.cell(image, channel, y, x)
                        linked = f"=values!{_name(*source.cell(image, channel, y, x))}"
                        _frame(sheet.cell(*value, linked), fill, "0.###")
                        formula = (
                            f"=(({_name(*value)}-{mean})/SQRT({variance}+{EPSILON_CELL})*{gamma})+{beta}"
                        )
                        out = places.normalized.cell(image, channel, y, x)
                        _frame(sheet.cell(*out, formula), fill, "0.00")
    first = Places.of(example, 0)
    _widths(sheet, first.values.column, example.channels, 5)
    _widths(sheet, first.normalized.column, example.channels, 6.5)
    label = first.statistics[1]
    for offset, width in enumerate((17, 8, 9, 9, 13)):
        sheet.column_dimensions[get_column_letter(label + offset)].width = width


def _write_gamma_beta(sheet: Worksheet, places: Places, example: Example) -> None:
    for offset, (name, value) in enumerate((("gamma", 1), ("beta", 0))):
        row = places.gamma + offset
        title = sheet.cell(row, places.normalized.column - 1, name)
        title.font = Font(bold=True)
        title.alignment = Alignment(horizontal="right")
        for channel in range(example.channels):
            column = places.normalized.cell(0, channel, 0, 0)[1]
            _frame(sheet.cell(row, column, value), _EDITABLE, "0.###")


def _title(sheet: Worksheet, title: str, note: str) -> None:
    sheet["A1"] = title
    sheet["A1"].font = Font(bold=True, size=14)
    sheet["A2"] = note


def _head(sheet: Worksheet, grid: Grid, example: Example, title: str, above: int = 2) -> None:
    """The title `above` rows over the values, and the headings of channels and images."""
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


def parser() -> argparse.ArgumentParser:
    """The command line; its defaults are the reference's own example."""
    parser = Parser(
        prog="python -m kerasnorm.workbook",
        description="Write the worked example of Batch, Layer and Group Normalization as an Excel workbook.",
    )
    parser.add_argument("out", metavar="OUT.xlsx")
    for field in dataclasses.fields(Example):
        parser.add_argument(
            f"--{field.name}", type=int, default=field.default, metavar="N", help=f"default: {field.default}"
        )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and write the file."""
    arguments = parser().parse_args(argv)
    out = Path(arguments.out)
    if out.suffix != ".xlsx":
        raise UserError(f"{out}: expected a name ending in .xlsx")
    example = Example(arguments.images, arguments.channels, arguments.groups, arguments.seed)
    write_whole(out, make_workbook(example).save)
    print(
        f"{out}: {example.images} images, {example.channels} channels, {example.groups} groups, seed {example.seed}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
