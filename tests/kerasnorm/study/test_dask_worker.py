"""What a worker checks; `test_dask_engine` has workers that train."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("distributed", reason="needs Dask: pip install 'kerasnorm[distributed]'")

from kerasnorm import RECIPES
from kerasnorm.study.dask_worker import Study, check_here, remove_study_folder, study_folder
from kerasnorm.study.environment import environment
from kerasnorm.study.training import Training

WORKER: Any = SimpleNamespace(address="tcp://10.0.0.7:40000", local_directory="/scratch/space/worker-1")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return Study("abc", environment("digits"), Training(RECIPES["documented"], "digits"), None)


def test_the_same_environment_passes(study: Study, tmp_path: Path) -> None:
    check_here(study, WORKER)
    (tmp_path / "mark").touch()
    check_here(dataclasses.replace(study, shared=tmp_path / "mark"), WORKER)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"shared": Path("/elsewhere/runs/.shared-1")},
            "expected the folder /elsewhere/runs of this machine, got none or another; share it by a network file "
            "system, or leave out --shared-runs",
        ),
        (
            {"training": Training(RECIPES["documented"], "digits", 5)},
            "expected data with SHA-256 .*, got .*; put the same file there",
        ),
        (
            {"training": Training(RECIPES["documented"], "/gone.npz")},
            "/gone.npz: expected a .npz file, found nothing of that name",
        ),
        ({"environment": {"numpy": "0.1"}}, "expected numpy 0.1, got .*; make both the same"),
    ],
)
def test_what_differs_is_named_with_its_worker(study: Study, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^worker tcp://10.0.0.7:40000: {message}"):
        check_here(dataclasses.replace(study, **changes), WORKER)


def test_the_folder_of_a_study_outlives_a_worker(tmp_path: Path) -> None:
    worker: Any = SimpleNamespace(local_directory=str(tmp_path / "worker-1"))
    folder = study_folder("abc", worker)
    assert folder == tmp_path / "kerasnorm-abc"
    folder.mkdir()
    remove_study_folder("abc", worker)
    assert not folder.exists()
    remove_study_folder("abc", worker)
