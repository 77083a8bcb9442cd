"""Plain Keras callbacks for any `model.fit`."""

from kerasnorm.callbacks.misclassified_images import MisclassifiedImages
from kerasnorm.callbacks.population_statistics import PopulationStatistics
from kerasnorm.callbacks.progress import Progress
from kerasnorm.callbacks.step_decay import StepDecay, step_decay

__all__ = ["MisclassifiedImages", "PopulationStatistics", "Progress", "StepDecay", "step_decay"]
