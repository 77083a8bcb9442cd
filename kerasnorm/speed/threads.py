"""How TensorFlow spreads a training step over the CPU cores."""

from __future__ import annotations

import os

import keras

from export.errors import UserError

# With more parts than this, each would hold few images. Further cores share the operations of a part instead.
_MAX_PARTS = 4

# Training steps in one call of a compiled function. From about ten on, the pause between two calls hardly counts.
_MAX_STEPS = 32


def available_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_tensorflow_on_cpu() -> bool:
    """Whether Keras runs on TensorFlow and TensorFlow sees no GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    # Listing the logical devices instead would start TensorFlow's runtime and fix the thread settings.
    return not tf.config.list_physical_devices("GPU")


def set_threads(cores: int | None = None) -> int:
    """Let TensorFlow run each operation on one thread, and one operation per core at a time.

    `speed_up` with several parts needs this setting. Call it before TensorFlow runs anything. On more than four
    cores, up to four operations run at a time, on cores // 4 threads each.

    Args:
        cores: number of cores to use; None: all that this process may use.

    Returns:
        The number of parts to pass to `speed_up`: the number of cores, at most 4. It is 1, and nothing changes,
        if TensorFlow already runs with another setting, sees a GPU, or is not Keras' backend.

    Raises:
        UserError: `cores` is less than 1, or more than this process may use.
    """
    available = available_cores()
    if cores is not None and not 1 <= cores <= available:
        raise UserError(f"cores: expected 1 to {available}, the cores of this machine, got {cores}")
    if not is_tensorflow_on_cpu():
        return 1
    import tensorflow as tf

    cores = cores or available
    parts = min(cores, _MAX_PARTS)
    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(cores // parts)
        threading.set_inter_op_parallelism_threads(parts)
    except RuntimeError:  # TensorFlow is running already
        wanted = (cores // parts, parts)
        current = (
            threading.get_intra_op_parallelism_threads(),
            threading.get_inter_op_parallelism_threads(),
        )
        return parts if current == wanted else 1
    return parts


def steps_per_execution(steps: int) -> int:
    """Return the largest divisor of `steps` up to 32, for `model.compile(steps_per_execution=...)`.

    It is a divisor because Keras always completes an execution, even beyond the last step of the epoch.

    Args:
        steps: number of steps in an epoch, 1 or more.
    """
    return max(n for n in range(1, min(steps, _MAX_STEPS) + 1) if steps % n == 0)
