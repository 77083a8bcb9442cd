import numpy as np
import pytest

from export.errors import UserError
from kerasnorm.worked_example import LAYERS, SIZE, Example, Positions, value_grid


def test_the_seed_determines_the_values() -> None:
    assert (Example(seed=4).values() == Example(seed=4).values()).all()
    assert (Example(seed=4).values() != Example(seed=5).values()).any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"images": 0}, "images: expected 1 to 64, got 0"),
        ({"channels": 65}, "channels: expected 1 to 64, got 65"),
        ({"groups": 3}, r"groups: expected a divisor of channels=4 \(\[1, 2, 4\]\), got 3"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
    ],
)
def test_examples_out_of_range_raise(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Example(**values)


@pytest.mark.parametrize("example", [Example(), Example(images=3, channels=6, groups=3)])
def test_no_two_values_have_the_same_cell(example: Example) -> None:
    shape = (example.images, example.channels, SIZE, SIZE)
    values = [value_grid(example, layer) for layer in range(len(LAYERS))]
    positions = [Positions.of(example, layer) for layer in range(len(LAYERS))]
    for grids in (values, [grid for one in positions for grid in (one.values, one.normalized)]):
        cells = [grid.cell(*index) for grid in grids for index in np.ndindex(shape)]
        assert len(set(cells)) == len(cells)
