"""The layers on Keras' backends compute what they do on TensorFlow, and can be trained."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasnorm.norms import NORMS


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_layers_on_a_backend(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    x = np.random.default_rng(0).normal(2, 3, (20, 5, 5, 4)).astype("float32")
    expected = {}
    for key, norm in NORMS.items():
        if norm.layer is not None:
            layer = norm.layer(2, **({"steps": 26} if norm.has_schedule else {}))
            for training in (True, False):
                y = layer(x, training=training) if key in ("bn", "gbn", "brn") else layer(x)
                expected[f"{key}-{training}"] = keras.ops.convert_to_numpy(y)
    np.savez(tmp_path / "expected.npz", **expected)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("on_backend.py")), str(tmp_path / "expected.npz")],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [backend, "passed"]
