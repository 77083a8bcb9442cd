import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from export.errors import UserError
from export.files import temporary_files, write_json, write_text, write_whole


def test_text_and_json_are_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "über")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "über"
    write_json(tmp_path / "a.json", {"a": float("nan"), "b": [1, float("inf")]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [1, None]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.txt"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("h5\nx")]
)
def test_failure_leaves_the_earlier_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "model.keras"
    path.write_text("earlier")

    def write(temporary: Path) -> None:
        assert temporary.suffix == ".keras"
        temporary.write_text("half of it")
        raise error

    interrupted = isinstance(error, KeyboardInterrupt)
    expected = (KeyboardInterrupt, "^$") if interrupted else (UserError, r"cannot write .*model.keras: ")
    with pytest.raises(expected[0], match=expected[1]):
        write_whole(path, write)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    dead, alive = int(done.stdout), os.getppid()
    left = [tmp_path / f".a.{process}.tmp.json" for process in (dead, alive)]
    others = [
        tmp_path / name
        for name in (f".b.{dead}.tmp.json", f".a.{dead}.tmp.txt", ".a.x.tmp.json", ".a.0.tmp.json")
    ]
    for file in (*left, *others):
        file.touch()
    assert temporary_files(tmp_path / "a.json") == dict(zip(left, (dead, alive), strict=True))
    write_json(tmp_path / "a.json", {})
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.json", left[1], *others])


def test_undecodable_names_are_written_and_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.npz")
    write_json(tmp_path / "a.json", {"source": name, "class": "日本"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"source": name, "class": "日本"}
