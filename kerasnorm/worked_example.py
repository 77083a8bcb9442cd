"""The worked example of the workbook: its values, and where each of its parts is on a sheet."""

from __future__ import annotations

import dataclasses

import numpy as np

from export.errors import UserError
from kerasnorm.norms import NORMS, REFERENCE, get_norm
from kerasnorm.shared_values import SharedValues

LAYERS = ("Layer N", "Layer N+1")
SIZE = 2  # pixels of an image, in height and width
LOW, HIGH = -3, 3  # the values are whole numbers from LOW to HIGH
STATISTICS_COLUMNS = 5  # label, mean, variance, and mean and variance of the normalized values


@dataclasses.dataclass(frozen=True)
class Example:
    """The size of the worked example, and its normalizations.

    Args:
        images: number of images, 1 to 64.
        channels: number of channels, 1 to 64.
        groups: number of groups for gn; it must divide `channels`.
        seed: seed of the random values.
        norms: keys of NORMS, of normalizations by a mean and a variance.

    Raises:
        UserError: an argument is out of range.
    """

    images: int = 4
    channels: int = 4
    groups: int = 2
    seed: int = 0
    norms: tuple[str, ...] = REFERENCE

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
        known = [key for key, norm in NORMS.items() if norm.shared_values is not None]
        for norm in self.norms:
            if norm not in known:
                raise UserError(
                    f"norms: expected normalizations by a mean and a variance ({', '.join(known)}), got {norm!r}"
                )
        if not self.norms or len(set(self.norms)) < len(self.norms):
            raise UserError(f"norms: expected one or more, each once, got {' '.join(self.norms) or 'none'}")

    def values(self) -> np.ndarray:
        """Return random whole numbers, (layers, images, SIZE, SIZE, channels)."""
        shape = (len(LAYERS), self.images, SIZE, SIZE, self.channels)
        return np.random.default_rng(self.seed).integers(LOW, HIGH + 1, shape)

    def sets(self, norm: str) -> list[SharedValues]:
        """Return the sets of values that share a mean and a variance: label, images and channels of each."""
        shared_values = get_norm(norm).shared_values
        if shared_values is None:
            raise UserError(f"norm: expected a normalization by a mean and a variance, got {norm!r}")
        return shared_values(self.images, self.channels, self.groups)


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
        sets = max(len(example.sets(norm)) for norm in example.norms)
        height = max(example.images * (SIZE + 1), sets + 1) + 7
        top = 8 + layer * height
        width = example.channels * (SIZE + 1)
        statistics = 2 + width + 1
        return cls(Grid(top, 2), (top, statistics), top - 3, Grid(top, statistics + STATISTICS_COLUMNS + 2))


def value_grid(example: Example, layer: int) -> Grid:
    """Return the position of a layer's values on the sheet 'values'."""
    return Grid(5 + layer * (example.images * (SIZE + 1) + 4), 2)
