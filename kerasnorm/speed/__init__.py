"""Faster training on CPU: `speed_up` a model, `restore` it, and set TensorFlow's threads."""

from kerasnorm.speed.model import restore, speed_up
from kerasnorm.speed.threads import available_cores, set_threads, steps_per_execution

__all__ = ["available_cores", "restore", "set_threads", "speed_up", "steps_per_execution"]
