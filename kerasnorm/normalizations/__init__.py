"""Normalizations that Keras lacks, as Keras layers for every backend: one a file, with its formula and paper."""

from kerasnorm.normalizations.batch_renormalization import BatchRenormalization
from kerasnorm.normalizations.dynamic_tanh import DynamicTanh
from kerasnorm.normalizations.filter_response import ThresholdedFilterResponseNormalization
from kerasnorm.normalizations.ghost_batch import GhostBatchNormalization
from kerasnorm.normalizations.root_mean_square import RootMeanSquareNormalization
from kerasnorm.normalizations.weight_standardization import StandardizedConv2D

__all__ = [
    "BatchRenormalization",
    "DynamicTanh",
    "GhostBatchNormalization",
    "RootMeanSquareNormalization",
    "StandardizedConv2D",
    "ThresholdedFilterResponseNormalization",
]
