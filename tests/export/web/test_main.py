from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from export.web.__main__ import cli
from tests.export.serving import write_model
from tests.export.web.helpers import write_checked


@pytest.fixture
def web(here: Callable[..., Any]) -> Callable[..., Any]:
    return partial(here, cli)


def test_a_page_of_two_models(web: Callable[..., Any], tmp_path: Path) -> None:
    first, second = write_checked(tmp_path / "first.onnx"), write_model(tmp_path / "second.onnx")
    Image.fromarray(np.zeros((1, 3), np.uint8)).save(tmp_path / "black.png")
    code, output, errors = web(first, second, "-o", tmp_path / "page", "--samples", tmp_path / "black.png")
    assert (code, errors) == (0, f"note: {second}: no check beside it, which the page could repeat\n")
    assert "2 models" in output
    assert "<title>first, second</title>" in (tmp_path / "page/index.html").read_text()
    assert len(list((tmp_path / "page").glob("sample-*.png"))) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.onnx", "-o", "page"], "none.onnx: expected an ONNX file, found no file of that name"),
        (["three.onnx", "-o", "page", "--samples", "three.onnx"], "three.onnx: expected an image ("),
        (
            ["three.onnx", "-o", "page", "--single-file"],
            "single-file: expected --runtime FOLDER with it, got none;",
        ),
        (["three.onnx", "-o", "page", "--runtime", "."], "expected the folder dist of onnxruntime-web 1."),
        (["three.onnx"], "the following arguments are required: -o/--output"),
    ],
)
def test_wrong_use(
    web: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_checked(tmp_path / "three.onnx")
    code, _, errors = web(*words)
    assert code == 2
    assert errors.count("\n") == 1
    assert message in errors
    assert not (tmp_path / "page").exists()
