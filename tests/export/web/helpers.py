"""Small classifiers with a check, as the page takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.evidence import Example, evidence_path, write_evidence
from tests.export.serving import write_model

NAMES = '["red <b>&", "green\\u202e", "blue"]'
PIXELS = np.array([[[[10], [0], [20]]], [[[0], [255], [0]]]], np.float32)  # (2, 1, 3, 1)


def write_checked(path: Path, metadata: dict[str, str] | None = None, **how: str) -> Path:
    """A classifier of three grey pixels into the brightest one, and its check."""
    write_model(path, metadata={"class_names": NAMES, **(metadata or {})}, **how)
    exponentials = np.exp(PIXELS.reshape(2, 3).astype(np.float64) - PIXELS.max())
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    example = Example("batch 2", {"x": PIXELS}, {"y": probabilities}, {"y": (1e-6, 1e-6)})
    write_evidence(evidence_path(path), [example], "the formula in float64")
    return path
