from pathlib import Path

import pytest

from export.errors import UserError
from kerasnorm import RECIPES, load_data
from kerasnorm.data import hold_out
from kerasnorm.study.plan import Run, check_data, plan
from tests.kerasnorm.study.finished import finished


def test_plan_goes_seed_by_seed_and_rejects_the_runs_of_another_study(tmp_path: Path) -> None:
    recipe = RECIPES["notebook"]
    runs = plan(["bn", "gn"], 2, "mnist", recipe, tmp_path)
    assert [run.path.name for run in runs] == [
        f"{norm}-mnist-notebook-seed{seed}" for seed in (0, 1) for norm in ("bn", "gn")
    ]
    runs[1].path.mkdir()
    (runs[1].path / "config.json").write_text('{"norm": "gn", "seed": 0, "recipe": {"epochs": 3}}')
    with pytest.raises(
        ValueError,
        match=r"gn-mnist-notebook-seed0: expected a run with .*=.*; name another folder with --runs",
    ):
        plan(["bn", "gn"], 2, "mnist", recipe, tmp_path)


@pytest.mark.parametrize(
    ("norms", "seeds", "message"),
    [
        (["bn"], 0, "seeds: expected 1 or more, got 0"),
        (["bn", "bn"], 1, "norms: expected each once, got bn bn"),
    ],
)
def test_wrong_plans_raise(norms: list[str], seeds: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        plan(norms, seeds, "mnist", RECIPES["notebook"], tmp_path)


def test_complete_runs_of_other_data_are_refused(tmp_path: Path) -> None:
    digits = load_data("digits")
    run = finished(tmp_path, "bn", 0, 0.9, sha256=digits.sha256)
    unfinished = Run("bn", 1, tmp_path / "bn-1")
    assert check_data([unfinished], "gone.npz", 0) is None  # training says what is wrong with it
    assert check_data([run, unfinished], "digits", 0) is None
    with pytest.raises(
        UserError, match=r"bn-0: expected a run with data=.*, got one with data=.*; name another fold"
    ):
        check_data([run], "digits", 300)
    sha256 = hold_out(digits, 300).sha256
    assert check_data([finished(tmp_path, "gn", 0, 0.9, sha256=sha256)], "digits", 300) is None


def test_data_of_complete_runs_that_is_gone(tmp_path: Path) -> None:
    run = finished(tmp_path, "bn", 0, 0.9)
    reason = check_data([run], "gone.npz", 0)
    assert reason is not None
    assert reason.startswith("the data of the complete runs was not compared: gone.npz: expected a .npz file")
    with pytest.raises(UserError, match=r"^gone\.npz: expected a \.npz file"):
        check_data([run, Run("bn", 1, tmp_path / "bn-1")], "gone.npz", 0)
