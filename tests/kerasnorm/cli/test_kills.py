"""A run that is killed at any moment is resumed to the same bits, and nothing of the killed process stays behind."""

import csv
import importlib.util
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasnorm import rundir
from kerasnorm.history import HISTORY

# Each file and each time that it is written, in a run of three epochs.
WRITES = [
    (rundir.CONFIG, 1),
    *((name, epoch) for name in (HISTORY, rundir.CHECKPOINT) for epoch in (1, 2, 3)),
    *((name, 1) for name in (rundir.MODEL, rundir.CONFUSION, rundir.CONFUSION_PLOT)),
    *((name, 1) for name in (rundir.CURVES, rundir.MISCLASSIFIED)),
    *((name, 1) for name in (rundir.ONNX, rundir.PARITY, rundir.METRICS)),
]
KILLS = [(name, moment, count) for name, count in WRITES for moment in ("half", "before", "after")]
KILLS += [("removed", "after", 1)]
# fmt: off
OPTIONS = (
    "--norm", "bn", "--data", "tiny.npz", "--epochs", "3", "--step-size", "1", "--batch-size", "16", "--filters", "4",
    "--blocks", "1", "--seed", "3",
)
# fmt: on


def test_every_file_of_a_run_is_among_the_kills() -> None:
    assert len(set(KILLS)) == 46
    assert {name for name, _ in WRITES} == set(rundir.FILES)


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small data set, and a run that was never interrupted."""
    folder = tmp_path_factory.mktemp("kills")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 12, 12), np.uint8), np.arange(60) % 3
    np.savez(
        folder / "tiny.npz",
        x_train=images[:40],
        y_train=labels[:40],
        x_test=images[40:],
        y_test=labels[40:],
    )
    done = run(folder, "-m", "kerasnorm.train", *OPTIONS, "--out", "whole")
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with open(path / HISTORY, newline="") as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "moment", "count"), KILLS)
def test_a_killed_run_is_resumed_to_the_same_bits(folder: Path, name: str, moment: str, count: int) -> None:
    out = folder / f"{name}-{moment}-{count}"
    killer = Path(__file__).with_name("killed.py")
    killed = run(folder, str(killer), name, moment, str(count), *OPTIONS, "--out", out.name)
    assert (killed.returncode, killed.stderr) == (-signal.SIGKILL, "")
    if moment == "half":
        assert list(out.glob(".*.tmp.*"))

    resumed = run(folder, "-m", "kerasnorm.train", *OPTIONS, "--out", out.name, "--resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert_same(out, folder / "whole")


@pytest.mark.slow
def test_a_run_is_repeated_from_its_config_to_the_same_bits(folder: Path) -> None:
    more = ["--verbose"]  # what is shown and written besides changes nothing
    if importlib.util.find_spec("tensorboard"):
        more += ["--tensorboard", "board"]
    done = run(folder, "-m", "kerasnorm.train", "--config", "whole/config.json", "--out", "repeated", *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "board/repeated/train").exists() == ("--tensorboard" in more)
    assert_same(folder / "repeated", folder / "whole")


def assert_same(out: Path, whole: Path) -> None:
    """Compare the files, weights, optimizers, histories and metrics of two runs."""
    assert sorted(file.name for file in out.iterdir()) == sorted(file.name for file in whole.iterdir())
    one, two = (keras.models.load_model(path / rundir.MODEL) for path in (whole, out))
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one.optimizer.variables, two.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert rows(out) == rows(whole)
    ours, theirs = (rundir.read_json(path / rundir.METRICS) for path in (whole, out))
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}
