import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.errors import UserError
from export.web.page import record_json
from kerasnorm import build_cnn
from kerasnorm.demo.page import STATIC, build_demo
from kerasnorm.demo.runs import read_run
from tests.kerasnorm.demo.helpers import write_run


def test_the_page_has_the_classes_and_the_activations(tmp_path: Path) -> None:
    runs = [read_run(write_run(tmp_path / norm, norm)) for norm in ("bn", "gn")]
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 1), np.uint8)
    page = build_demo(runs, images)
    record = json.loads(record_json(page))
    assert [model["name"] for model in record["models"]] == ["bn", "gn"]
    assert len(record["samples"]) == 3
    parts = record["activations.js"]["models"]
    assert [part["title"] for part in parts] == ["Batch Normalization", "Group Normalization"]
    assert {part["file"]["name"] for part in parts} <= set(page.data)
    assert page.scripts == ("main.js", "activations.js")
    assert {path.name for path in STATIC.iterdir()} - {"activations.html"} <= set(page.code)
    assert 'id="activation-cards"' in page.sections


def test_runs_with_images_of_other_shapes(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "bn", "bn"))
    other = replace(run, model=build_cnn("bn", (24, 24, 1), blocks=1))
    with pytest.raises(
        UserError, match=r"runs: expected images of one shape, got \(20, 20, 1\), \(24, 24, 1\)"
    ):
        build_demo([run, other], None)
    other = replace(run, name="other", class_names=("x", "y", "z"))
    with pytest.raises(
        UserError, match=r"runs: expected runs with the same classes, got others in bn than in other;"
    ):
        build_demo([run, other], None)
