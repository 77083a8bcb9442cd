import math
from pathlib import Path

import pytest

from kerasnorm.history import COLUMNS, HISTORY, finished_rows, is_finite, read_history, write_history

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


def test_a_finished_epoch_without_its_row_raises(tmp_path: Path) -> None:
    rows = [{**dict.fromkeys(COLUMNS, 0.5), "epoch": epoch} for epoch in (1, 2, 3)]
    write_history(tmp_path, rows)
    assert finished_rows(tmp_path, 2) == rows[:2]
    with pytest.raises(
        ValueError, match=r"history.csv: expected a row for each of 4 finished epochs, got 3; res"
    ):
        finished_rows(tmp_path, 4)
    (tmp_path / HISTORY).unlink()
    assert finished_rows(tmp_path, 0) == []
    with pytest.raises(
        ValueError, match=r"history.csv: expected a row for each of 1 finished epochs, got 0; res"
    ):
        finished_rows(tmp_path, 1)
