"""The layers of the normalizations, as the records in `norms.py` name them; they import Keras when they are called.

Each takes the number of groups, which most ignore, and options of the layer, and returns a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

EPSILON = 1e-5  # PyTorch's default for the reference's three; Keras' default is 1e-3
GHOST_BATCH_SIZE = 16  # of the images of a batch of 128


def batch_normalization(groups: int | None, **options: Any) -> keras.layers.Layer:
    """Keras' BatchNormalization with PyTorch's epsilon and momentum."""
    import keras

    # PyTorch's momentum of 0.1 is the weight of the new value, Keras' that of the old one.
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=EPSILON, **options)


def group_normalization(groups: int | None, **options: Any) -> keras.layers.Layer:
    """Keras' GroupNormalization with PyTorch's epsilon."""
    import keras

    return keras.layers.GroupNormalization(groups=groups, epsilon=EPSILON, **options)


def root_mean_square(groups: int | None, **options: Any) -> keras.layers.Layer:
    """RootMeanSquareNormalization."""
    from kerasnorm.normalizations import RootMeanSquareNormalization

    return RootMeanSquareNormalization(epsilon=EPSILON, **options)


def filter_response(groups: int | None, **options: Any) -> keras.layers.Layer:
    """ThresholdedFilterResponseNormalization with the paper's epsilon."""
    from kerasnorm.normalizations import ThresholdedFilterResponseNormalization

    return ThresholdedFilterResponseNormalization(**options)


def dynamic_tanh(groups: int | None, **options: Any) -> keras.layers.Layer:
    """DynamicTanh."""
    from kerasnorm.normalizations import DynamicTanh

    return DynamicTanh(**options)


def ghost_batch(groups: int | None, **options: Any) -> keras.layers.Layer:
    """GhostBatchNormalization with the epsilon and momentum of `bn`: it trains batches of up to 31 images as `bn`."""
    from kerasnorm.normalizations import GhostBatchNormalization

    return GhostBatchNormalization(GHOST_BATCH_SIZE, momentum=0.9, epsilon=EPSILON, **options)


def batch_renormalization(groups: int | None, *, steps: int | None, **options: Any) -> keras.layers.Layer:
    """BatchRenormalization; its schedule is the paper's, scaled to the steps of the training if they are known."""
    from kerasnorm.normalizations import BatchRenormalization
    from kerasnorm.normalizations.batch_renormalization import scaled_schedule

    schedule = {} if steps is None else scaled_schedule(steps)
    return BatchRenormalization(epsilon=EPSILON, **schedule, **options)


def standardized_convolution(*arguments: Any, **options: Any) -> keras.layers.Layer:
    """StandardizedConv2D."""
    from kerasnorm.normalizations import StandardizedConv2D

    return StandardizedConv2D(*arguments, **options)
