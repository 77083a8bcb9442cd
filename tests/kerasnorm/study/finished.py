"""Run directories as training leaves them, without the training."""

import functools
import json
from io import BytesIO
from pathlib import Path

import numpy as np

from kerasnorm.confusion import Confusion, write_confusion
from kerasnorm.history import COLUMNS
from kerasnorm.image_plots import plot_misclassified
from kerasnorm.study.plan import Run

RESULTS = sorted(
    [
        *("table.md", "runs.csv", "report.html", "misclassified-bn.png", "misclassified-gn.png"),
        *("train-loss.png", "train-accuracy.png", "test-loss.png", "test-accuracy.png", "accuracy.png"),
        *(f"confusion-{norm}.{suffix}" for norm in ("bn", "gn") for suffix in ("csv", "png")),
    ]
)
CLASSES = ("cat & <dog>", "$x_{", "日本")
COUNTS = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 2]])


def finished(
    folder: Path,
    norm: str,
    seed: int,
    accuracy: float,
    confusion: bool = True,
    sha256: str = "0123456789abcdef",
) -> Run:
    """Make the directory of a complete run of two epochs."""
    path = folder / f"{norm}-{seed}"
    path.mkdir()
    config = {
        "data": {
            "name": "pets",
            "sha256": sha256,
            "training_images": 60_000,
            "test_images": 10_000,
            "image_shape": [28, 28, 1],
            "class_names": CLASSES,
        },
        "versions": {"kerasnorm": "0.2.0"},
        "machine": "Linux",
        "processor": "Some CPU",
        "cores": 2,
        "date": f"2026-11-2{seed}",
    }
    (path / "config.json").write_text(json.dumps(config))
    if confusion:
        write_confusion(path / "confusion.csv", Confusion(CLASSES, COUNTS))
    metrics = {
        "epochs": 2,
        "test_accuracy": accuracy,
        "best_test_accuracy": accuracy + 0.001,
        "best_epoch": 1,
        "train_accuracy": 0.99,
        "misclassified": 10,
        "seconds": 60.0,
    }
    (path / "metrics.json").write_text(json.dumps(metrics))
    rows = [[str(epoch), *["0.5"] * 8] for epoch in (1, 2)]
    (path / "history.csv").write_text("\n".join(",".join(row) for row in [COLUMNS, *rows]) + "\n")
    (path / "misclassified.png").write_bytes(_picture())
    return Run(norm, seed, path)


@functools.cache
def _picture() -> bytes:
    file = BytesIO()
    plot_misclassified(np.zeros((1, 8, 8), np.uint8), [1], [2]).savefig(file)
    return file.getvalue()
