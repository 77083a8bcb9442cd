import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
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
    assert "note: the images of digits have another shape or other classes than those of " in errors
    assert (tmp_path / "page/activations.js").exists()


def test_samples_are_of_the_data_of_the_first_run(demo: Callable[..., Any], tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "bn")
    rng = np.random.default_rng(0)
    images: np.ndarray = rng.integers(0, 256, (30, 20, 20), np.uint8)
    labels: np.ndarray = np.arange(30) % 3
    parts = images[:18], labels[:18], images[18:], labels[18:]
    np.savez(tmp_path / "own.npz", x_train=parts[0], y_train=parts[1], x_test=parts[2], y_test=parts[3])
    config = json.loads((run / "config.json").read_text())
    config["data"] |= {"name": "own", "source": str(tmp_path / "own.npz"), "class_names": ["0", "1", "2"]}
    (run / "config.json").write_text(json.dumps(config))
    code, _, errors = demo(run, "-o", tmp_path / "page")
    assert (code, errors) == (0, "")
    assert list((tmp_path / "page").glob("sample-*.png"))
    (tmp_path / "own.npz").unlink()
    code, _, errors = demo(run, "-o", tmp_path / "without")
    assert code == 0
    assert errors.startswith(f"note: the data of {run} can't be loaded (")
    assert not list((tmp_path / "without").glob("sample-*.png"))


def test_what_is_no_run(demo: Callable[..., Any], tmp_path: Path) -> None:
    code, _, errors = demo(tmp_path, "-o", tmp_path / "page")
    assert code == 2
    assert errors.count("\n") == 1
    assert "expected a run directory of kerasnorm.train, found none with config.json" in errors
