"""The page of a study: pictures within it, every text escaped, and no part that has nothing to show."""

from pathlib import Path
from typing import Any

from kerasnorm.study.page import Page, Picture
from kerasnorm.study.tables import Column, Table

HOSTILE = "<script>alert('x')</script>"


def page(**changes: Any) -> str:
    table = Table((Column(HOSTILE), Column("accuracy", number=True)), ((HOSTILE, "99.00"),))
    content: dict[str, Any] = {
        "title": HOSTILE,
        "summary": [HOSTILE],
        "seeds": 3,
        "results": table,
        "dots": None,
        "differences": table,
        "classes": None,
        "class_count": 10,
        "confusions": [],
        "without_confusion": [],
        "curves": [],
        "misclassified": [],
        "command": HOSTILE,
        "facts": [(HOSTILE, [HOSTILE])],
    }
    return Page(**{**content, **changes}).html()


def test_every_text_is_escaped() -> None:
    html = page(without_confusion=[HOSTILE])
    assert "&lt;script&gt;" in html
    assert "<script" not in html


def test_pictures_are_within_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"PNG")
    picture = Picture(tmp_path / "a.png", HOSTILE)
    assert picture.uri == "data:image/png;base64,UE5H"
    html = page(curves=[picture])
    assert html.count(picture.uri) == 1
    assert "<script" not in html


def test_numbers_are_aligned_and_a_missing_command_is_left_out() -> None:
    assert '<td class="number">99.00</td>' in page()
    assert page().count("<code>") > page(command=None).count("<code>")
