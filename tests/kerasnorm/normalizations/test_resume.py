"""A training with moving averages and a schedule is resumed to the same bits."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasnorm import rundir

PROGRAM = """
import sys
import keras
from kerasnorm import Recipe, train

def stop(epoch, logs):
    if epoch == 0 and sys.argv[2] == "stop":
        raise KeyboardInterrupt

callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=stop)]
recipe = Recipe(epochs=2, filters=8, statistics=int(sys.argv[4]))
options = {"recipe": recipe, "export": False, "verbose": 0, "callbacks": callbacks}
train(sys.argv[1], "digits", **options, out=sys.argv[3], resume=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "statistics"), [("gbn", 0), ("brn", 0), ("brn", 200)])
def test_resume_to_the_same_bits(norm: str, statistics: int, tmp_path: Path) -> None:
    def run(what: str, out: str) -> int:
        command = [sys.executable, "-c", PROGRAM, norm, what, str(tmp_path / out), str(statistics)]
        return subprocess.run(command, capture_output=True, timeout=300).returncode

    assert run("whole", "whole") == 0
    assert run("stop", "parts") != 0
    assert not (tmp_path / "parts/model.keras").exists()
    assert run("resume", "parts") == 0
    one, two = (keras.models.load_model(tmp_path / name / "model.keras") for name in ("whole", "parts"))
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    # The model that is kept is the one that was evaluated after the last epoch.
    metrics = rundir.read_json(tmp_path / "parts" / rundir.METRICS)
    assert metrics["misclassified"] == round((1 - metrics["test_accuracy"]) * 360)
    assert metrics == rundir.read_json(tmp_path / "whole" / rundir.METRICS) | {"seconds": metrics["seconds"]}
