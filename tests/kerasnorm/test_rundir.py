import dataclasses
import json
from pathlib import Path

import pytest

from kerasnorm import Recipe, load_data, rundir

ROW = {key: 0.1 + 0.2 * index for index, key in enumerate(rundir.COLUMNS)}


def test_history_is_read_back_exactly(tmp_path: Path) -> None:
    rows = [{**ROW, "epoch": epoch, "loss": 1 / 3 + epoch} for epoch in (1, 2)]
    rundir.write_history(tmp_path, rows)
    assert rundir.read_history(tmp_path) == rows
    assert rundir.read_history(tmp_path / "none") == []
    (tmp_path / rundir.HISTORY).write_text("epoch,loss\n1,x\n")
    with pytest.raises(ValueError, match=r"history.csv: expected the columns epoch, loss"):
        rundir.read_history(tmp_path)


def test_a_hyperparameter_newer_than_the_run_has_its_default(tmp_path: Path) -> None:
    recipe = dataclasses.asdict(Recipe())
    older = {key: value for key, value in recipe.items() if key != "statistics"}
    (tmp_path / rundir.CONFIG).write_text(json.dumps({"norm": "bn", "recipe": older, "seed": 0}))
    rundir.check_same(tmp_path, {"norm": "bn", "recipe": recipe, "seed": 0})
    with pytest.raises(ValueError, match="expected a run with statistics=7, got one with statistics=0"):
        rundir.check_same(tmp_path, {"recipe": recipe | {"statistics": 7}})


def test_wrong_json_raises(tmp_path: Path) -> None:
    for text in ("{", "[]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config.json: expected a "):
            rundir.read_json(tmp_path / "config.json")


def test_description_of_a_run() -> None:
    data = load_data("digits")
    config = rundir.describe("bn", data, Recipe(epochs=2), 5)
    assert list(config) == ["norm", "seed", "recipe", "data", "versions", "machine"]
    assert (config["norm"], config["seed"]) == ("bn", 5)
    assert config["recipe"]["epochs"] == 2
    assert set(config["recipe"]) == {field.name for field in dataclasses.fields(Recipe)}
    assert config["data"]["sha256"] == data.sha256
    assert config["data"]["training_images"] == 1437
    assert {"kerasnorm", "python", "keras", "tensorflow", "numpy", "backend"} == set(config["versions"])
    json.dumps(config)


def test_overwrite_removes_the_files_of_a_run_alone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = {"norm": "bn"}
    assert rundir.prepare(run, config, resume=False, overwrite=False) is False
    for name in (*rundir.FILES[1:], "notes.txt"):
        (run / name).write_text("{}")
    with pytest.raises(ValueError, match="expected a new directory, got one with files; give --resume"):
        rundir.prepare(run, config, resume=False, overwrite=False)
    assert rundir.prepare(run, config, resume=True, overwrite=False) is True
    assert rundir.prepare(run, config, resume=False, overwrite=True) is False
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "notes.txt"]
