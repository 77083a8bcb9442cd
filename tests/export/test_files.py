import json
from pathlib import Path

import pytest

from export.errors import UserError
from export.files import write_json, write_text, write_whole


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
