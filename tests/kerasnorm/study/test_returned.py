import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from export.errors import CheckError, KerasnormError
from kerasnorm import RECIPES, rundir
from kerasnorm.lock import locked
from kerasnorm.study.returned import ALLOWED, Returned, check_shared_run, place_run, read_run
from tests.kerasnorm.study.fake_training import write_run

RECIPE = dataclasses.asdict(RECIPES["documented"])
SETTINGS = {"norm": "bn", "seed": 3, "recipe": RECIPE, "data": {"sha256": "ff"}}


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The directory of a complete run on another machine."""
    path = tmp_path / "there"
    path.mkdir()
    write_run(path, "bn", 3, RECIPE, "ff")
    (path / rundir.CHECKPOINT).write_bytes(b"not sent")
    (path / "notes.txt").write_text("not sent")
    return path


def files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_a_run_is_sent_and_placed(there: Path, tmp_path: Path) -> None:
    returned = read_run(there, 12.5, shared=False)
    assert returned.seconds == 12.5
    here = tmp_path / "runs/here"
    place_run(returned, here, SETTINGS)
    assert files(here) == {name: content for name, content in files(there).items() if name in ALLOWED}
    assert list(here.parent.iterdir()) == [here]


def test_an_unfinished_run_is_replaced(there: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in (rundir.CONFIG, rundir.CHECKPOINT, rundir.PARITY):
        (here / name).write_text("old")
    place_run(read_run(there, 1, shared=False), here, SETTINGS)
    assert set(files(here)) == set(files(there)) & ALLOWED


def test_a_run_that_another_process_trains_is_left_alone(there: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    with locked(here):
        with pytest.raises(ValueError, match="got one in which a training is running"):
            place_run(read_run(there, 1, shared=False), here, SETTINGS)
        assert [file.name for file in here.iterdir()] == [".lock"]


def changed(returned: Returned, **contents: bytes | None) -> Returned:
    """Return a run with other files, and their own SHA-256."""
    names = {name.replace("__", "/").replace("_", "."): content for name, content in contents.items()}
    kept = {name: content for name, content in {**returned.contents, **names}.items() if content is not None}
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in kept.items()}
    return dataclasses.replace(returned, contents=kept, sha256=sha256)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (
            {"__etc__passwd": b""},
            "expected the files .* of a complete run from the worker, got /etc/passwd, config",
        ),
        ({"..__config_json": b""}, "expected the files .* of a complete run from the worker, got "),
        (
            {"checkpoint_npz": b""},
            "expected the files .* of a complete run from the worker, got checkpoint.npz, ",
        ),
        (
            {"metrics_json": None},
            "expected the files .* of a complete run from the worker, got config.json, ",
        ),
        ({"metrics_json": b"{"}, "metrics.json: expected a readable JSON file"),
        (
            {"config_json": b'{"norm": "gn"}'},
            "expected a run with norm=bn, got one with norm=gn; the worker trained another run than .*here",
        ),
        (
            {"config_json": json.dumps({**SETTINGS, "data": {"sha256": "00"}}).encode()},
            "expected a run with data=ff, got one with data=00",
        ),
    ],
)
def test_what_is_no_such_run_is_not_written(
    there: Path, tmp_path: Path, contents: dict[str, bytes | None], message: str
) -> None:
    if "..__config_json" in contents:
        contents = {"..__config_json": contents["..__config_json"]}
    returned = changed(read_run(there, 1, shared=False), **contents)
    here = tmp_path / "runs/here"
    with pytest.raises(KerasnormError, match=message):
        place_run(returned, here, SETTINGS)
    assert not here.exists()
    assert not here.parent.exists() or list(here.parent.iterdir()) == []


def test_damaged_bytes_are_not_written(there: Path, tmp_path: Path) -> None:
    returned = read_run(there, 1, shared=False)
    damaged = dataclasses.replace(returned, contents={**returned.contents, rundir.MODEL: b"damaged"})
    with pytest.raises(CheckError, match=r"expected model\.keras as the worker sent it, got other bytes"):
        place_run(damaged, tmp_path / "here", SETTINGS)
    assert not (tmp_path / "here").exists()


def test_a_shared_run_is_sent_without_its_files(there: Path) -> None:
    returned = read_run(there, 1, shared=True)
    assert returned.contents == {}
    check_shared_run(returned, there, SETTINGS, seconds=0)


@pytest.mark.parametrize(("content", "got"), [(b"older", "another"), (None, "none")])
def test_a_shared_run_that_is_not_seen(there: Path, content: bytes | None, got: str) -> None:
    returned = read_run(there, 1, shared=True)
    (there / rundir.METRICS).unlink()
    if content is not None:
        (there / rundir.METRICS).write_bytes(content)
    with pytest.raises(
        CheckError, match=rf"there: expected metrics\.json as the worker wrote it, got {got} within 0\.1 s"
    ):
        check_shared_run(returned, there, SETTINGS, seconds=0.1)


def test_a_shared_run_of_other_settings(there: Path) -> None:
    with pytest.raises(ValueError, match="expected a run with seed=4, got one with seed=3"):
        check_shared_run(read_run(there, 1, shared=True), there, {**SETTINGS, "seed": 4}, seconds=0)
