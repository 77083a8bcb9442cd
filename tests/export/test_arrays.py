import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.arrays import read_npy, read_npz
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


def write_npz(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": descr})
    return file.getvalue()


def read_a(path: Path) -> np.ndarray:
    return read_npz(path, lambda names: ["a"])[0]


@pytest.mark.parametrize("shape", [(10**6, 10**7), (2**62,), (2**31, 2**33), (60000, 60000)])
def test_huge_declared_shape_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = write_npz(tmp_path / "huge.npz", {"a.npy": header(shape)})
    with pytest.raises(
        UserError, match=rf"expected {4 * math.prod(shape):,} bytes of 'a\.npy', .*, got 128;"
    ):
        read_a(path)


def test_huge_declared_shape_of_a_single_array_is_refused(tmp_path: Path) -> None:
    (tmp_path / "single.npz").write_bytes(header((10**6, 10**7)))
    with pytest.raises(UserError, match=r"single\.npz: expected a \.npz archive, got a single array"):
        read_a(tmp_path / "single.npz")


def test_huge_items_are_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "huge.npz", {"a.npy": header((2,), "<U500000000")})
    with pytest.raises(UserError, match=r"expected 4,000,000,000 bytes of 'a\.npy'"):
        read_a(path)


def test_zip_bomb_is_refused(tmp_path: Path) -> None:
    """Of a valid array of zeros, which deflate packs a thousand times."""
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(header((300 * 2**18,)))
        for _ in range(300):
            member.write(bytes(2**20))
    assert path.stat().st_size < 400_000
    with pytest.raises(
        UserError, match=r"bomb\.npz: expected at most 100 times .* got 314,572,928 bytes of arrays"
    ):
        read_a(path)


def test_bomb_that_is_not_read_does_not_matter(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "file.npz", {"b.npy": header((10**9,))})
    with zipfile.ZipFile(path, "a") as archive, archive.open("a.npy", "w") as member:
        np.lib.format.write_array(member, np.arange(3))
    np.testing.assert_array_equal(read_a(path), np.arange(3))


def test_other_compression_is_refused(tmp_path: Path) -> None:
    """A few bytes of bzip2 can expand to any size at once."""
    path = write_npz(tmp_path / "file.npz", {"a.npy": header((1,)) + bytes(4)}, zipfile.ZIP_BZIP2)
    with pytest.raises(UserError, match="expected members that are stored or deflated"):
        read_a(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "EOF"),
        (b"hello, I am no array", "magic string"),
        (b"\x93NUMPY\x03\x00" + bytes(99), "version"),
        (b"\x93NUMPY\x01\x00\xff\xff{'descr': ", "EOF"),
        (header((-4,)), "negative|shape"),
        (header((1,), "|O"), "pickled objects, which are never loaded"),
    ],
)
def test_malformed_member(content: bytes, message: str, tmp_path: Path) -> None:
    path = write_npz(tmp_path / "file.npz", {"a.npy": content})
    with pytest.raises(UserError, match=rf"expected a readable \.npz file of plain arrays: .*({message})"):
        read_a(path)


def test_compressed_arrays_of_every_order_are_read(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "zeros": np.zeros((1000, 1000)),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "scalar": np.array(3),
        "empty": np.zeros((0, 5)),
        "big_endian": np.arange(3, dtype=">i4"),
        "text": np.array(["a", "bb"]),
    }
    np.savez_compressed(tmp_path / "file.npz", **arrays)
    for array, expected in zip(read_npz(tmp_path / "file.npz", list), arrays.values(), strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == expected.dtype


def test_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(read_npy(tmp_path / "x.npy"), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.npy", r"none\.npy: expected a \.npy file, found nothing of that name"),
        ("text.npy", r"text\.npy: expected a readable \.npy file of plain arrays: "),
        ("objects.npy", r"objects\.npy: .*: it holds pickled objects, which are never loaded"),
        (
            "cut.npy",
            r"cut\.npy: expected 8,000 bytes of 'cut\.npy', as its shape \(1000,\) declares, got 500",
        ),
    ],
)
def test_unusable_single_array(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    np.save(tmp_path / "good.npy", np.arange(1000))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:500])
    with pytest.raises(UserError, match=message):
        read_npy(tmp_path / name)
