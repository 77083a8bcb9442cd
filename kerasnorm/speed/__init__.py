"""Faster training on CPU: `speed_up` a model, see what is fast, `restore` it, and set TensorFlow's threads."""

from kerasnorm.speed.model import restore, speed_up
from kerasnorm.speed.report import LayerReport, SpeedReport, speed_report
from kerasnorm.speed.threads import available_cores, set_threads, steps_per_execution

__all__ = [
    "LayerReport",
    "SpeedReport",
    "available_cores",
    "restore",
    "set_threads",
    "speed_report",
    "speed_up",
    "steps_per_execution",
]
