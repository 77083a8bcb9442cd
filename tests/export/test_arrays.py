from pathlib import Path

import numpy as np
import pytest

from export.arrays import read_npz
from export.errors import UserError


def test_chosen_arrays_are_returned_in_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "file.npz", a=np.arange(2), b=np.arange(3), c=np.arange(4))
    seen: list[str] = []

    def choose(names: list[str]) -> list[str]:
        seen.extend(names)
        return ["c", "a"]

    c, a = read_npz(tmp_path / "file.npz", choose)
    assert seen == ["a", "b", "c"]
    np.testing.assert_array_equal(c, np.arange(4))
    np.testing.assert_array_equal(a, np.arange(2))


def test_error_of_the_choice_is_passed_on(tmp_path: Path) -> None:
    np.savez(tmp_path / "file.npz", a=np.arange(2))

    def choose(names: list[str]) -> list[str]:
        raise UserError(f"expected b, got {names}")

    with pytest.raises(UserError, match=r"^expected b, got \['a'\]$"):
        read_npz(tmp_path / "file.npz", choose)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.npz", r"none\.npz: expected a \.npz file, found nothing of that name"),
        ("folder.npz", r"folder\.npz: expected a \.npz file, got a folder"),
        ("single.npz", r"single\.npz: expected a \.npz archive, got a single array"),
        ("text.npz", r"text\.npz: expected a readable \.npz file of plain arrays: "),
        ("cut.npz", r"cut\.npz: expected a readable \.npz file of plain arrays: "),
        ("objects.npz", r"objects\.npz: .*: it holds pickled objects, which are never loaded; save plain"),
    ],
)
def test_unusable_file(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "text.npz").write_text("hello")
    with open(tmp_path / "single.npz", "wb") as file:
        np.save(file, np.arange(3))
    np.savez(tmp_path / "good.npz", a=np.arange(1000))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:500])
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(UserError, match=message):
        read_npz(tmp_path / name, lambda names: names)
