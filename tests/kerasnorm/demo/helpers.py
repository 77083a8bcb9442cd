"""A run directory without its training."""

import json
from pathlib import Path

from kerasnorm import build_cnn
from tests.export.helpers import randomize


def write_run(path: Path, norm: str) -> Path:
    """A run of a small network with random weights."""
    path.mkdir()
    data = {"class_names": ["a", "b", "c"], "pixel_mean": [0.1307]}
    config = {"norm": norm, "recipe": {"groups": None}, "data": data}
    (path / "config.json").write_text(json.dumps(config))
    model = randomize(build_cnn(norm, (20, 20, 1), num_classes=3, filters=8, blocks=1))
    model.save(path / "model.keras")
    return path
