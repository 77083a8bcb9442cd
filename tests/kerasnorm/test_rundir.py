import dataclasses
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest

from export.errors import UserError
from kerasnorm import Recipe, load_data, rundir
from kerasnorm.history import COLUMNS, HISTORY, read_history, write_history

ROW = {key: 0.1 + 0.2 * index for index, key in enumerate(COLUMNS)}


def test_a_hyperparameter_newer_than_the_run_has_its_default(tmp_path: Path) -> None:
    recipe = dataclasses.asdict(Recipe())
    older = {key: value for key, value in recipe.items() if key != "statistics"}
    (tmp_path / rundir.CONFIG).write_text(json.dumps({"norm": "bn", "recipe": older, "seed": 0}))
    rundir.check_same(tmp_path, {"norm": "bn", "recipe": recipe, "seed": 0})
    with pytest.raises(ValueError, match=r"expected a run with statistics=7, got one with statistics=0"):
        rundir.check_same(tmp_path, {"recipe": recipe | {"statistics": 7}})


def test_wrong_json_raises(tmp_path: Path) -> None:
    for text in ("{", "[]", "[" * 200_000):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config.json: expected a "):
            rundir.read_json(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": [1]}, r"expected a run with data=0f, got one with data=\[1\]"),
        ({"recipe": None}, r"config.json: expected the recipe of a run, got null; restore"),
        ({"recipe": "a\nb"}, r'config.json: expected the recipe of a run, got "a\\nb"; restore'),
        ({"norm": "a\nb"}, r"expected a run with norm=bn, got one with norm=a b;"),
    ],
)
@pytest.mark.parametrize("diverged", [False, True])
def test_a_config_of_other_things_raises(
    changes: dict[str, Any], message: str, diverged: bool, tmp_path: Path
) -> None:
    settings = {"norm": "bn", "recipe": dataclasses.asdict(Recipe()), "seed": 0, "data": {"sha256": "0f"}}
    (tmp_path / rundir.CONFIG).write_text(json.dumps(settings | changes))
    if diverged:
        write_history(tmp_path, [{**ROW, "epoch": 1, "loss": math.nan}])
    with pytest.raises(UserError, match=message) as caught:
        rundir.check_usable(tmp_path, settings, resume=True, overwrite=False)
    assert "\n" not in str(caught.value)


def test_metrics_that_commands_show(tmp_path: Path) -> None:
    metrics = dict.fromkeys(rundir.SHOWN, 0.5)
    (tmp_path / rundir.METRICS).write_text(json.dumps(metrics))
    assert rundir.read_metrics(tmp_path) == metrics
    for changed, got in (({}, "null"), (metrics | {"epochs": "3"}, '"3"')):
        (tmp_path / rundir.METRICS).write_text(json.dumps(changed))
        with pytest.raises(
            UserError, match=rf"metrics.json: expected a number for epochs, got {got}; restore"
        ):
            rundir.read_metrics(tmp_path)


def test_description_of_a_run() -> None:
    data = load_data("digits")
    config = rundir.describe("bn", data, Recipe(epochs=2), 5)
    assert list(config)[:5] == ["norm", "seed", "recipe", "data", "versions"]
    assert list(config)[5:] == ["machine", "processor", "cores", "date"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", config["date"])
    assert (config["norm"], config["seed"]) == ("bn", 5)
    assert config["recipe"]["epochs"] == 2
    assert set(config["recipe"]) == {field.name for field in dataclasses.fields(Recipe)}
    assert config["data"]["sha256"] == data.sha256
    assert config["data"]["training_images"] == 1437
    assert {"kerasnorm", "python", "keras", "tensorflow", "numpy", "backend"} == set(config["versions"])
    json.dumps(config)


def prepare(path: Path, config: dict[str, Any], resume: bool = False, overwrite: bool = False) -> None:
    with rundir.claimed(path):
        rundir.prepare(path, config, resume=resume, overwrite=overwrite)


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def test_overwrite_removes_the_files_of_a_run_alone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = {"norm": "bn"}
    prepare(run, config)
    assert names(run) == ["config.json"]
    (run / HISTORY).write_text(",".join(COLUMNS) + "\n")
    for name in (*rundir.FILES[2:], "notes.txt"):
        (run / name).write_text("{}")
    with pytest.raises(ValueError, match="expected a new directory, got one with files; give --resume"):
        prepare(run, config)
    prepare(run, config, resume=True)
    assert rundir.is_complete(run)
    assert names(run) == sorted([*rundir.FILES, "notes.txt"])
    prepare(run, config, overwrite=True)
    assert names(run) == ["config.json", "notes.txt"]
    assert not rundir.is_complete(run)


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}], ids=str)
def test_a_process_killed_before_config_json_leaves_a_free_directory(
    tmp_path: Path, options: dict[str, bool]
) -> None:
    (tmp_path / ".config.4321.tmp.json").write_text('{"norm"')
    (tmp_path / ".lock").touch()
    rundir.check_usable(tmp_path, {"norm": "bn"}, **{"resume": False, "overwrite": False, **options})
    prepare(tmp_path, {"norm": "bn"}, **options)
    assert names(tmp_path) == ["config.json"]


def test_half_written_files_of_a_run_are_removed(tmp_path: Path) -> None:
    prepare(tmp_path, {"norm": "bn"})
    # The process id of this test's parent, which is alive: the lock tells that nobody else writes here.
    for name in (
        ".checkpoint.{}.tmp.npz",
        ".model.{}.tmp.keras",
        ".metrics.{}.tmp.json",
        ".notes.{}.tmp.txt",
    ):
        (tmp_path / name.format(os.getppid())).touch()
    prepare(tmp_path, {"norm": "bn"}, resume=True)
    assert names(tmp_path) == [f".notes.{os.getppid()}.tmp.txt", "config.json"]


def test_a_complete_run_is_tidied(tmp_path: Path) -> None:
    """As a process leaves it that is killed between metrics.json and the end."""
    for name in (*rundir.FILES, ".lock", ".metrics.4321.tmp.json", "notes.txt"):
        (tmp_path / name).touch()
    rundir.tidy(tmp_path)
    kept = sorted([*(name for name in rundir.FILES if name != rundir.CHECKPOINT), "notes.txt"])
    assert names(tmp_path) == kept
    rundir.tidy(tmp_path)
    assert names(tmp_path) == kept


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(ValueError, match=r"expected a run directory, got one without config.json"):
            prepare(tmp_path, {"norm": "bn"}, **options)
    assert names(tmp_path) == ["notes.txt"]


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path, {"norm": "bn"})
    in_use = f"^{tmp_path}: expected a directory that no other process uses, got one in which a training is running"
    with rundir.claimed(tmp_path):
        for options in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(ValueError, match=in_use):
                prepare(tmp_path, {"norm": "bn"}, **options)
            settings = {"resume": False, "overwrite": False, **options}
            with pytest.raises(ValueError, match=in_use):
                rundir.check_usable(tmp_path, {"norm": "bn"}, **settings)
    prepare(tmp_path, {"norm": "bn"}, resume=True)


def test_a_run_that_diverged_is_resumed_with_another_learning_rate(tmp_path: Path) -> None:
    def config(rate: float, **others: object) -> dict[str, Any]:
        recipe = dataclasses.asdict(Recipe(learning_rate=rate))
        return {"norm": "bn", "seed": 0, "recipe": {**recipe, **others}}

    prepare(tmp_path, config(0.5))
    with pytest.raises(
        ValueError, match=r"expected a run with learning_rate=0.1, got one with learning_rate=0.5"
    ):
        prepare(tmp_path, config(0.1), resume=True)
    rows = [{**ROW, "epoch": epoch} for epoch in (1, 2, 3)]
    rows[2]["loss"] = math.nan
    write_history(tmp_path, rows)
    with pytest.raises(
        ValueError, match=r"expected another learning rate than 0.5, with which the loss became NaN"
    ):
        prepare(tmp_path, config(0.5), resume=True)
    with pytest.raises(ValueError, match=r"expected a run with momentum=0.9, got one with momentum=0.8"):
        prepare(tmp_path, config(0.1, momentum=0.9), resume=True)
    assert len(read_history(tmp_path)) == 3
    prepare(tmp_path, config(0.1), resume=True)
    assert read_history(tmp_path) == rows[:2]
    kept = rundir.read_json(tmp_path / rundir.CONFIG)
    assert kept == config(0.1) | {"diverged": [{"epoch": 3, "learning_rate": 0.5}]}
    prepare(tmp_path, config(0.1), resume=True)  # the same command again
    assert rundir.read_json(tmp_path / rundir.CONFIG) == kept
