import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasnorm import Recipe, rundir

ROW = {key: 0.1 + 0.2 * index for index, key in enumerate(rundir.COLUMNS)}


def small_model(units: int = 2, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units), keras.layers.Dropout(0.5)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    return model


def test_history_reads_back_exactly(tmp_path: Path) -> None:
    rows = [{**ROW, "epoch": epoch, "loss": 1 / 3 + epoch} for epoch in (1, 2)]
    rundir.write_history(tmp_path, rows)
    assert rundir.read_history(tmp_path) == rows
    assert rundir.read_history(tmp_path / "none") == []
    (tmp_path / rundir.HISTORY).write_text("epoch,loss\n1,x\n")
    with pytest.raises(ValueError, match=r"history.csv: expected the columns epoch, loss"):
        rundir.read_history(tmp_path)


def test_checkpoint_holds_weights_velocity_and_random_states(tmp_path: Path) -> None:
    model, x = small_model(), np.random.default_rng(0).normal(size=(20, 3))
    model.fit(x, x[:, :2], epochs=2, verbose=0)
    rundir.save_checkpoint(tmp_path, model, 2)
    other = small_model(seed=1)
    assert rundir.load_checkpoint(tmp_path, other) == 2
    for one in (model, other):
        one.fit(x, x[:, :2], epochs=1, shuffle=False, verbose=0)
    for a, b in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert rundir.load_checkpoint(tmp_path / "none", other) == 0


@pytest.mark.parametrize("damage", ["truncated", "another model", "empty"])
def test_a_checkpoint_that_cannot_be_used(tmp_path: Path, damage: str) -> None:
    rundir.save_checkpoint(tmp_path, small_model(units=3 if damage == "another model" else 2), 1)
    file = tmp_path / rundir.CHECKPOINT
    if damage != "another model":
        file.write_bytes(file.read_bytes()[: 500 if damage == "truncated" else 0])
    with pytest.raises(ValueError, match=r"checkpoint.npz: expected a checkpoint of this run.*--overwrite"):
        rundir.load_checkpoint(tmp_path, small_model())


def test_a_run_older_than_a_hyper_parameter_is_the_same_run_at_its_default(tmp_path: Path) -> None:
    recipe = dataclasses.asdict(Recipe())
    older = {key: value for key, value in recipe.items() if key != "statistics"}
    (tmp_path / rundir.CONFIG).write_text(json.dumps({"norm": "bn", "recipe": older, "seed": 0}))
    rundir.check_same(tmp_path, {"norm": "bn", "recipe": recipe, "seed": 0})
    with pytest.raises(ValueError, match="expected a run with statistics=7, got one with statistics=0"):
        rundir.check_same(tmp_path, {"recipe": recipe | {"statistics": 7}})


def test_json_that_is_none(tmp_path: Path) -> None:
    for text in ("{", "[]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config.json: expected a "):
            rundir.read_json(tmp_path / "config.json")
