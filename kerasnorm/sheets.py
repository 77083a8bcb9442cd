"""The sheets of the workbook, written with openpyxl: one that explains, one of values, one for each normalization."""

from __future__ import annotations

import numpy as np
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from kerasnorm.image_plots import light_colors
from kerasnorm.norm_layers import EPSILON
from kerasnorm.norms import NORMS, Norm
from kerasnorm.worked_example import HIGH, LAYERS, LOW, SIZE, Example, Grid, Positions, value_grid

EPSILON_CELL = "$C$3"

_THIN = Side(style="thin", color="808080")
_EDITABLE = PatternFill("solid", start_color="FFF2CC")


def explain(sheet: Worksheet, example: Example) -> None:
    """Write the sheet that says what the workbook shows."""
    norms = {key: NORMS[key] for key in example.norms}
    with_groups = [key for key, norm in norms.items() if norm.has_groups]
    sheet.title = "read me"
    sheet.column_dimensions["A"].width = 110
    lines = [
        (", ".join(norm.name for norm in norms.values()) + ": a worked example", True),
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
            for key, norm in norms.items()
        ),
        *(
            (
                f"The groups of {key}: {example.groups}, each of "
                f"{example.channels // example.groups} neighbouring channels.",
                False,
            )
            for key in with_groups
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
            + "; ".join(f"{key}: {norm.keras_layer}" for key, norm in norms.items())
            + f"; epsilon={EPSILON:g}.",
            False,
        ),
    ]
    for row, (text, bold) in enumerate(lines, 1):
        cell = sheet.cell(row, 1, text)
        cell.font = Font(bold=bold, size=14 if row == 1 else 11)
        cell.alignment = Alignment(wrap_text=True, vertical="top")


def write_values(sheet: Worksheet, example: Example) -> None:
    """Write the sheet of the values, which can be edited."""
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


def write_norm(sheet: Worksheet, example: Example, norm: Norm) -> None:
    """Write the sheet of a normalization: values, statistics and normalized values, as live formulas."""
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
            before = _area(positions.values, images, channels)
            after = _area(positions.normalized, images, channels)
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


def _name(row: int, column: int) -> str:
    return f"{get_column_letter(column)}{row}"


def _area(grid: Grid, images: range, channels: range) -> str:
    """Return the rectangle of some images and channels, as a formula names it."""
    first = grid.cell(images[0], channels[0], 0, 0)
    last = grid.cell(images[-1], channels[-1], SIZE - 1, SIZE - 1)
    return f"{_name(*first)}:{_name(*last)}"
