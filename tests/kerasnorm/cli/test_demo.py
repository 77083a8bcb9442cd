from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kerasnorm.cli.demo import cli
from tests.kerasnorm.demo.helpers import write_run


@pytest.fixture
def demo(here: Callable[..., Any]) -> Callable[..., Any]:
    return partial(here, cli)


def test_a_page_of_one_run(demo: Callable[..., Any], tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "ln")
    code, output, errors = demo(run, "-o", tmp_path / "page", "--data", "digits")
    assert code == 0
    assert "1 model," in output
    assert "note: the images of digits have another shape than the runs take" in errors
    assert (tmp_path / "page/activations.js").exists()


def test_what_is_no_run(demo: Callable[..., Any], tmp_path: Path) -> None:
    code, _, errors = demo(tmp_path, "-o", tmp_path / "page")
    assert code == 2
    assert errors.count("\n") == 1
    assert "expected a run directory of kerasnorm.train, found none with config.json" in errors
