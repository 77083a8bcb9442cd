"""The callbacks on Keras' backends, in processes of their own: a process has one backend."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arrays", "tf.data", "PyDataset"])
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_callbacks_on_a_backend(backend: str, kind: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("on_backend.py")), kind],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == [backend, kind]
