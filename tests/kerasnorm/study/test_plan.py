from pathlib import Path

import pytest

from kerasnorm import RECIPES
from kerasnorm.study.plan import plan


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
