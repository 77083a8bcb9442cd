import zipfile
from pathlib import Path

import pytest

from export import limits
from export.errors import UserError
from export.limits import EXPANSION, HARMLESS, available_memory, check_size, open_zip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(10**7))
    return path


@pytest.mark.parametrize("size", [0, HARMLESS, EXPANSION * 10**7])
def test_size_that_the_file_justifies(file: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORY", file.with_name("none"))
    check_size(file, "arrays", size)


def test_size_that_the_file_does_not_justify(file: Path) -> None:
    message = (
        r"file\.bin: expected at most 100 times the 10,000,000 bytes of the file, or 268,435,456 bytes, "
        "got 1,000,000,001 bytes of arrays; the file is damaged or made to exhaust the memory"
    )
    with pytest.raises(UserError, match=message):
        check_size(file, "arrays", EXPANSION * 10**7 + 1)


def test_size_beyond_the_available_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = file.with_name("meminfo")
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    1000 kB\n")
    monkeypatch.setattr(limits, "MEMORY", meminfo)
    check_size(file, "arrays", 1_024_000)
    with pytest.raises(
        UserError, match=r"at most 1,024,000 bytes, the available memory, got 1,024,001 bytes"
    ):
        check_size(file, "arrays", 1_024_001)


def test_available_memory_that_the_system_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MEMORY", tmp_path / "meminfo")
    assert available_memory() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\n")
    assert available_memory() is None


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(method: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("member", "text")
    with pytest.raises(UserError, match=rf"stored or deflated, got 'member', compressed by method {method}"):
        open_zip(tmp_path / "a.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated_members_are_read(method: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("member", "text")
    with open_zip(tmp_path / "a.zip") as archive:
        assert archive.read("member") == b"text"
