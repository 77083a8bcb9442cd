import os
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

from kerasnorm.speed import available_cores, set_threads, steps_per_execution
from kerasnorm.speed.threads import is_tensorflow_on_cpu


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs os.sched_getaffinity")
def test_available_cores_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 5, 7})
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS and Windows
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


def test_set_threads_changes_nothing_once_tensorflow_runs() -> None:
    tf.constant(0)  # TensorFlow runs in this process, with other settings
    assert set_threads() == 1


def test_set_threads_in_a_new_process() -> None:
    program = (
        "import os, tensorflow as tf\n"
        "from kerasnorm.speed import set_threads\n"
        "os.sched_getaffinity = lambda pid: set(range(6))\n"
        "t = tf.config.threading\n"
        "print(set_threads(2), t.get_intra_op_parallelism_threads(), t.get_inter_op_parallelism_threads())\n"
        "print(set_threads(), t.get_intra_op_parallelism_threads(), t.get_inter_op_parallelism_threads())\n"
        "tf.constant(0)\n"
        "print(set_threads())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["2", "1", "2", "4", "1", "4", "4"], done.stderr


def test_a_gpu_or_another_backend_keeps_the_thread_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"] if kind == "GPU" else [])
    assert not is_tensorflow_on_cpu()
    assert set_threads() == 1
    monkeypatch.undo()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert not is_tensorflow_on_cpu()
    assert set_threads() == 1


@pytest.mark.parametrize("cores", [0, 4])
def test_cores_that_the_process_does_not_have(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 5, 7}, raising=False)
    with pytest.raises(ValueError, match=f"cores: expected 1 to 3, the cores of this machine, got {cores}"):
        set_threads(cores)


@pytest.mark.parametrize(("steps", "expected"), [(1, 1), (469, 7), (100, 25), (30000, 30), (31, 31), (37, 1)])
def test_steps_per_execution_divides_the_epoch(steps: int, expected: int) -> None:
    assert steps_per_execution(steps) == expected
