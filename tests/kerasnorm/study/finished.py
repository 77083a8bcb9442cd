"""Run directories as training leaves them, without the training."""

import json
from pathlib import Path

import numpy as np

from kerasnorm.history import COLUMNS
from kerasnorm.image_plots import plot_misclassified
from kerasnorm.study.plan import Run

RESULTS = sorted(
    [
        *("table.md", "runs.csv", "report.html", "misclassified-bn.png", "misclassified-gn.png"),
        *("train-loss.png", "train-accuracy.png", "test-loss.png", "test-accuracy.png"),
    ]
)


def finished(folder: Path, norm: str, seed: int, accuracy: float) -> Run:
    """Make the directory of a complete run of two epochs."""
    path = folder / f"{norm}-{seed}"
    path.mkdir()
    metrics = {
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
    images: np.ndarray = np.zeros((1, 8, 8), np.uint8)
    plot_misclassified(images, [1], [2]).savefig(path / "misclassified.png")
    return Run(norm, seed, path)
