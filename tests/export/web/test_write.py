import base64
import errno
import gzip
import json
import re
from pathlib import Path

import pytest

from export.errors import UserError
from export.files import write_whole
from export.web import write
from export.web.models import read_model
from export.web.page import Page, build_page
from export.web.samples import from_checks
from export.web.write import write_folder, write_page, write_single_file
from tests.export.web.helpers import write_checked


@pytest.fixture
def page(tmp_path: Path) -> Page:
    models = [read_model(write_checked(tmp_path / "three.onnx"))]
    return build_page(models, from_checks(models), title="three")


def test_a_folder(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "site/page"
    line = write_page(page, folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {*page.data, *page.code, "index.html", "page.json"}
    assert re.fullmatch(
        rf"{folder}: 1 model, [\d,]+ bytes, runtime from https://\S+; see it with: python -m http\.server --directory "
        rf"{folder}",
        line,
    )
    html = (folder / "index.html").read_text()
    assert html.index("Content-Security-Policy") < html.index("<script")
    assert "connect-src &#x27;self&#x27; https://" in html
    assert "unsafe-inline" not in html


def test_a_page_replaces_an_earlier_one(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    write_folder(page, folder)
    for name in ("model-7.onnx", "sample-12.png", "mine.txt"):
        (folder / name).write_text("left over")
    write_folder(page, folder)
    assert {path.name for path in folder.iterdir()} == {
        *(*page.data, *page.code),
        *("index.html", "page.json", "mine.txt"),
    }


def test_no_page_of_something_else_is_replaced(page: Page, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    for record in ("", "[]", '{"generator": "other"}'):
        (tmp_path / "page.json").write_text(record)
        with pytest.raises(
            UserError, match=r"expected a new folder or an earlier page, got one with page\.json; name"
        ):
            write_folder(page, tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"
    with pytest.raises(UserError, match="expected a folder for the page, got a file; name another with -o"):
        write_folder(page, tmp_path / "index.html")
    with pytest.raises(UserError, match="cannot make the folder: Not a directory; name another with -o"):
        write_folder(page, tmp_path / "index.html/page")


def test_files_of_the_user_are_neither_replaced_nor_removed(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "my models"
    folder.mkdir()
    (folder / "model-0.onnx").write_text("mine")
    with pytest.raises(
        UserError, match=r"expected a new folder or an earlier page, got one with model-0\.onnx; name another"
    ):
        write_folder(page, folder)
    assert [path.name for path in folder.iterdir()] == ["model-0.onnx"]
    assert (folder / "model-0.onnx").read_text() == "mine"
    (folder / "model-0.onnx").rename(folder / "model-7.onnx")  # which no page with one model has
    (folder / "sample-30.png").write_text("mine")
    assert write_page(page, folder).endswith(f"--directory '{folder}'")
    for name in ("model-7.onnx", "sample-30.png"):
        assert (folder / name).read_text() == "mine"


def test_a_full_disk_leaves_no_half_written_file(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "page"
    write_folder(page, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fails_at_the_record(path: Path, write_it: object) -> None:
        if path.name == "page.json":
            write_whole(path, full)
        write_whole(path, write_it)  # type: ignore[arg-type]

    def full(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write, "write_whole", fails_at_the_record)
    with pytest.raises(UserError, match=r"cannot write .*page\.json: No space left on device"):
        write_folder(page, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_in_which_the_disk_was_full_is_written_again(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_at_the_page(path: Path, write_it: object) -> None:
        if path.name == "index.html":
            raise UserError("the disk is full")
        write_whole(path, write_it)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(write, "write_whole", fails_at_the_page)
        with pytest.raises(UserError, match="the disk is full"):
            write_folder(page, tmp_path / "page")
    write_folder(page, tmp_path / "page")
    assert (tmp_path / "page/index.html").exists()


def test_one_file(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert write_single_file(page, path) == path.stat().st_size
    html = path.read_text()
    packed = dict(re.findall(r'id="file:([^"]+)">([^<]+)</script>', html))
    assert set(packed) == {*page.data, "page.json"}
    for name, content in page.data.items():
        assert gzip.decompress(base64.b64decode(packed[name])) == content
    imports = json.loads(re.findall(r'<script type="importmap">(.*?)</script>', html)[0])["imports"]
    assert set(imports) == {f"page/{name}" for name in page.code if name.endswith(".js")}
    main = base64.b64decode(imports["page/main.js"].partition(",")[2]).decode()
    assert 'from "page/runtime.js"' in main
    assert '"./' not in main
    assert not re.search(r'(?:src|href)="(?!data:)', html)  # nothing is loaded
    assert "connect-src" not in html


def test_one_file_needs_a_name_and_a_limit(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tmp_path, tmp_path / "page"):
        with pytest.raises(
            UserError, match=r"expected the name of an HTML file for --single-file, as in -o page"
        ):
            write_single_file(page, path)
    monkeypatch.setattr(write, "LARGEST", 1000)
    with pytest.raises(
        UserError, match=r"expected a page of at most 1,000 bytes for one file, got [\d,]+; leave out"
    ):
        write_single_file(page, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
