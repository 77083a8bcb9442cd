import json
from pathlib import Path

from export.web.models import read_model
from export.web.page import STATIC, Page, build_page, page_html, record_json
from export.web.runtime import CDN, FILES, integrity
from export.web.samples import from_checks
from tests.export.web.helpers import write_checked

TITLE = '"><script>alert(1)</script> $title & co'


def page(folder: Path) -> Page:
    models = [read_model(write_checked(folder / "three.onnx"))]
    return build_page(models, from_checks(models), title=TITLE)


def test_files_and_their_hashes(tmp_path: Path) -> None:
    built = page(tmp_path)
    assert sorted(built.data) == ["check-0.bin", "model-0.onnx", "sample-0.png", "sample-1.png"]
    record = json.loads(record_json(built))
    model = record["models"][0]
    for file in (model["file"], model["check"]["file"], *(sample["file"] for sample in record["samples"])):
        content = built.data[file["name"]]
        assert (file["size"], file["integrity"]) == (len(content), integrity(content))
    assert record["runtime"]["builds"]["webgpu"]["module"]["integrity"] == FILES["ort.webgpu.min.mjs"]
    assert built.connects_to == CDN


def test_names_and_title_are_text(tmp_path: Path) -> None:
    built = page(tmp_path)
    html = page_html(built, "", "", {"script-src": "'self'"})
    assert html.count("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt; $title &amp; co") == 2
    assert "<script>" not in html
    assert "red" not in html
    policy = (
        "default-src &#x27;none&#x27;; base-uri &#x27;none&#x27;; form-action &#x27;none&#x27;; script-src"
    )
    assert policy in html


def test_the_page_is_small() -> None:
    """Without the runtime and the models, under 100 kB."""
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < 100_000


def test_an_extension(tmp_path: Path) -> None:
    files = {"more.js": b"", "more.css": b"", "more.onnx": b"graph"}
    built = page(tmp_path).with_extension(files, "<section></section>", "more.js", {"x": 1})
    assert built.scripts == ("main.js", "more.js")
    assert {"more.js", "more.css"} <= set(built.code)
    assert built.data["more.onnx"] == b"graph"
    assert json.loads(record_json(built))["more.js"] == {"x": 1}
    assert "<section></section>" in page_html(built, "", "", {})
