import math
from pathlib import Path

import pytest

from kerasnorm.history import COLUMNS, HISTORY, is_finite, read_history, write_history

ROW = {key: 0.1 + 0.2 * index for index, key in enumerate(COLUMNS)}


def test_history_is_read_back_exactly(tmp_path: Path) -> None:
    rows = [{**ROW, "epoch": epoch, "loss": 1 / 3 + epoch} for epoch in (1, 2)]
    write_history(tmp_path, rows)
    assert read_history(tmp_path) == rows
    assert read_history(tmp_path / "none") == []
    (tmp_path / HISTORY).write_text("epoch,loss\n1,x\n")
    with pytest.raises(ValueError, match=r"history.csv: expected the columns epoch, loss"):
        read_history(tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("key", ["loss", "val_loss"])
def test_loss_that_is_not_finite(key: str, value: float) -> None:
    assert is_finite(ROW)
    assert not is_finite({**ROW, key: value})
