"""Batch, Layer, Group and other normalizations on a small CNN in Keras 3.

This file lists what is public. A name is imported from its module when it is first used, so that `--help` of a
command does not load TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from export import __version__

_HOME = {
    "MisclassifiedImages": "callbacks",
    "PopulationStatistics": "callbacks",
    "Progress": "callbacks",
    "StepDecay": "callbacks",
    "step_decay": "callbacks",
    "Dataset": "data",
    "load_data": "data",
    "Augmentation": "augment",
    "augment_images": "augment",
    "training_batches": "augment",
    "restore": "speed",
    "set_threads": "speed",
    "speed_up": "speed",
    "steps_per_execution": "speed",
    "build_cnn": "models",
    "plot_confusion": "confusion_plot",
    "BatchRenormalization": "normalizations",
    "DynamicTanh": "normalizations",
    "GhostBatchNormalization": "normalizations",
    "RootMeanSquareNormalization": "normalizations",
    "StandardizedConv2D": "normalizations",
    "ThresholdedFilterResponseNormalization": "normalizations",
    "stock_model": "stock",
    "plot_curves": "plots",
    "plot_misclassified": "image_plots",
    "plot_overlaid": "plots",
    "plot_settings": "result_plots",
    "plot_shared": "image_plots",
    "unnormalize": "image_plots",
    "RECIPES": "recipes",
    "Recipe": "recipes",
    "l1l2": "regularizers",
    "train": "train",
}
__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from kerasnorm.augment import Augmentation, augment_images, training_batches
    from kerasnorm.callbacks import MisclassifiedImages, PopulationStatistics, Progress, StepDecay, step_decay
    from kerasnorm.confusion_plot import plot_confusion
    from kerasnorm.data import Dataset, load_data
    from kerasnorm.image_plots import plot_misclassified, plot_shared, unnormalize
    from kerasnorm.models import build_cnn
    from kerasnorm.normalizations import (
        BatchRenormalization,
        DynamicTanh,
        GhostBatchNormalization,
        RootMeanSquareNormalization,
        StandardizedConv2D,
        ThresholdedFilterResponseNormalization,
    )
    from kerasnorm.plots import plot_curves, plot_overlaid
    from kerasnorm.recipes import RECIPES, Recipe
    from kerasnorm.regularizers import l1l2
    from kerasnorm.result_plots import plot_settings
    from kerasnorm.speed import restore, set_threads, speed_up, steps_per_execution
    from kerasnorm.stock import stock_model
    from kerasnorm.train import train


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kerasnorm' has no attribute {name!r}")
    value = getattr(import_module(f"kerasnorm.{_HOME[name]}"), name)
    # Importing the module kerasnorm.train has set the attribute `train` to the module; this sets it to the function.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
